using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Scripts;

/// <summary>The files below <c>infra</c> that operators start grok1 with.</summary>
public class FleetFileTests
{
    private static string Infra => Path.Combine(Repository.Root, "infra");

    private static string[] UnitNames => [.. Directory.GetFiles(Path.Combine(Infra, "systemd"), "*.service").Select(path => Path.GetFileName(path)!)];

    public static TheoryData<string> Units => [.. UnitNames];

    [ProgramFact("systemd-analyze", "systemd")]
    public async Task Systemd_finds_nothing_wrong_in_the_units()
    {
        Assert.Equal(2, UnitNames.Length);
        var folder = Directory.CreateTempSubdirectory("grok1-units-").FullName;
        try
        {
            foreach (var unit in UnitNames)
            {
                var path = Path.Combine(folder, unit);
                var text = await File.ReadAllTextAsync(Path.Combine(Infra, "systemd", unit));
                Assert.Contains("ExecStart=/opt/grok1/grok1 ", text);
                await File.WriteAllTextAsync(path, text.Replace("/opt/grok1/grok1", Grok1Process.ExecutablePath));
                var result = await Grok1Process.RunAsync(new ProcessStartInfo("systemd-analyze", ["verify", path]));
                Assert.Equal((0, ""), (result.ExitCode, result.Error));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Units))]
    public async Task A_unit_starts_what_failed_again_however_often_but_not_what_was_drained_or_has_wrong_settings(string unit)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(Infra, "systemd", unit));
        // Five quick ends within ten seconds, systemd's default, would be for good.
        Assert.Contains("StartLimitIntervalSec=0", lines);
        Assert.Contains("Restart=on-failure", lines);
        Assert.Contains("RestartPreventExitStatus=2", lines);
    }

    [Theory]
    [MemberData(nameof(Units))]
    public async Task The_settings_that_a_unit_shows_are_settings_of_its_verb(string unit)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(Infra, "systemd", unit));
        var verb = lines.Single(line => line.StartsWith("ExecStart=")).Split(' ')[1];
        var json = string.Concat(lines.TakeWhile(line => line.StartsWith('#')).Skip(1).Select(line => line[1..]));
        var help = (await Grok1Process.RunAsync(verb, "--help")).Output;
        var settings = JsonDocument.Parse(json).RootElement.EnumerateObject()
            .SelectMany(section => section.Value.EnumerateObject().Select(setting => $"{section.Name}:{setting.Name}")).ToArray();
        Assert.NotEmpty(settings);
        Assert.All(settings, setting => Assert.Contains($"  {setting}\n", help));
    }

    [Fact]
    public async Task The_flags_of_the_compose_file_are_flags_of_their_verbs()
    {
        var commands = (await File.ReadAllTextAsync(Path.Combine(Infra, "container", "compose.yml"))).ReplaceLineEndings(" ").Split("command: [").Skip(1)
            .Select(rest => rest[..rest.IndexOf(']')].Split(',').Select(word => word.Trim().Trim('"')).ToArray()).Where(words => words[0] is "serve" or "worker").ToArray();
        Assert.Equal(5, commands.Length);
        foreach (var words in commands)
        {
            var help = (await Grok1Process.RunAsync(words[0], "--help")).Output;
            Assert.All(words.Where(word => word.StartsWith("--")), flag => Assert.Contains($" {flag} ", help));
        }
    }
}
