using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Scripts;

/// <summary>What <c>./test.sh</c> makes of builds and test runs, with stand-ins for both and for the package manager.</summary>
public sealed class TestScriptTests : IDisposable
{
    /// <summary>As the trx logger of the test platform writes it.</summary>
    private const string Results = """
        <TestRun>
          <Results>
            <UnitTestResult testName="Plans.Good" duration="00:00:00" outcome="Passed" testListId="1" />
            <UnitTestResult testName="Plans.Also_good(s: &quot;x&quot;)" outcome="Passed" testListId="1">
              <Output><StdOut>0 passed, 9 failed</StdOut></Output>
            </UnitTestResult>
            <UnitTestResult testName="Wire.Skipped" outcome="NotExecuted" testListId="1">
              <Output>
                <ErrorInfo>
                  <Message>needs python3 &amp; grpc</Message>
                </ErrorInfo>
              </Output>
            </UnitTestResult>
          </Results>
        </TestRun>
        """;

    private const string Failure = """
            <UnitTestResult testName="Wire.Bad(s: &quot;x&lt;y&quot;)" outcome="Failed" testListId="1">
              <Output>
                <ErrorInfo>
                  <Message>Assert.Equal() Failure
        Expected: &lt;1&gt;
        Actual:   2</Message>
                  <StackTrace>   at Wire.Bad() in Wire.cs:line 2</StackTrace>
                </ErrorInfo>
              </Output>
            </UnitTestResult>
          </Results>
        """;

    private readonly ScriptSandbox _sandbox = new("test.sh");

    public TestScriptTests()
    {
        _sandbox.StandIn("dotnet", """
            echo "$@" >>"$SANDBOX/calls"
            [[ $1 == build ]] && exit "$(cat "$SANDBOX/build-code")"
            while [[ $1 != --results-directory ]]; do shift; done
            cp "$SANDBOX"/*.trx "$2" 2>/dev/null
            exit "$(cat "$SANDBOX/test-code")"
            """);
        _sandbox.StandIn("dpkg-query", "exit 1");
        _sandbox.StandIn("apt-get", "echo no network >&2; exit 100");
        _sandbox.WriteFile("build-code", "0");
        _sandbox.WriteFile("test-code", "0");
    }

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public async Task A_good_run_ends_with_the_counts_and_names_what_was_skipped()
    {
        _sandbox.WriteFile("a.trx", Results);
        var result = await _sandbox.RunAsync();
        Assert.Equal(0, result.ExitCode);
        Assert.EndsWith("SKIPPED Wire.Skipped: needs python3 & grpc\n2 passed, 0 failed, 1 skipped\n", result.Output);
    }

    [Fact]
    public async Task Results_of_several_projects_are_added_up_and_failures_shown_in_full()
    {
        _sandbox.WriteFile("a.trx", Results);
        _sandbox.WriteFile("b.trx", Results.Replace("  </Results>\n", Failure));
        _sandbox.WriteFile("test-code", "1");
        var result = await _sandbox.RunAsync();
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("FAILED Wire.Bad(s: \"x<y\")\n  Assert.Equal() Failure\n  Expected: <1>\n  Actual:   2\n     at Wire.Bad() in Wire.cs:line 2\n", result.Output);
        Assert.EndsWith("\n4 passed, 1 failed, 2 skipped\n", result.Output);
    }

    [Theory]
    [InlineData("0", "0", false, "FAILED no test ran\n0 passed, 0 failed, 0 skipped\n")]
    [InlineData("0", "1", true, "FAILED the test run itself, see above\n2 passed, 0 failed, 1 skipped\n")]
    [InlineData("1", "0", true, "FAILED the build\n0 passed, 0 failed, 0 skipped\n")]
    public async Task A_run_without_results_or_with_a_crash_is_no_success(string buildCode, string testCode, bool hasResults, string end)
    {
        _sandbox.WriteFile("build-code", buildCode);
        _sandbox.WriteFile("test-code", testCode);
        if (hasResults)
            _sandbox.WriteFile("a.trx", Results);
        var result = await _sandbox.RunAsync();
        Assert.Equal(1, result.ExitCode);
        Assert.EndsWith(end, result.Output);
    }

    [Theory]
    [InlineData(1, "", 0, "FLAKY Wire.Bad\n3 passed, 0 failed, 1 skipped\n")]
    [InlineData(4, "", 1, "\n2 passed, 4 failed, 1 skipped\n")]
    [InlineData(1, "<Text>The active test run was aborted.</Text>", 1, "\n2 passed, 1 failed, 1 skipped\n")]
    public async Task A_few_tests_that_failed_are_tried_once_more_by_themselves_unless_the_run_broke_off(int failures, string log, int code, string lastLine)
    {
        const string end = "  </Results>";
        var results = Results.Replace(end, string.Concat(Enumerable.Repeat(Failure.Replace(end, ""), failures)) + end);
        _sandbox.WriteFile("a.trx", results.Replace("</TestRun>", $"{log}</TestRun>"));
        _sandbox.WriteFile("test-code", "1");
        // The second time everything is well.
        _sandbox.StandIn("dotnet", """
            echo "$@" >>"$SANDBOX/calls"
            [[ $1 == build ]] && exit 0
            while [[ $1 != --results-directory ]]; do shift; done
            cp "$SANDBOX/a.trx" "$2"
            sed -i 's/Failed/Passed/' "$SANDBOX/a.trx"
            exit "$(cat "$SANDBOX/test-code"; echo 0 >"$SANDBOX/test-code")"
            """);
        var result = await _sandbox.RunAsync();
        Assert.Equal(code, result.ExitCode);
        Assert.EndsWith(lastLine, result.Output);
        Assert.Contains("FAILED Wire.Bad", result.Output);
        if (code == 0)
            Assert.Contains("--filter FullyQualifiedName=Wire.Bad", File.ReadAllText(Path.Combine(_sandbox.Folder, "calls")));
    }

    [Theory]
    [InlineData("Plans", "--filter FullyQualifiedName~Plans")]
    [InlineData("Category=slow", "--filter Category=slow")]
    public async Task A_filter_is_passed_on(string filter, string expected)
    {
        _sandbox.WriteFile("a.trx", Results);
        Assert.Equal(0, (await _sandbox.RunAsync(filter)).ExitCode);
        Assert.Contains(expected, File.ReadAllText(Path.Combine(_sandbox.Folder, "calls")));
    }
}
