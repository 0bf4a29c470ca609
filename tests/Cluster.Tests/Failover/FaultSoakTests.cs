using System.Globalization;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Reliability.Bench;
using Xunit.Abstractions;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Many streams while workers are killed and stopped at random; <c>GROK1_SOAK_SECONDS</c> makes it longer.</summary>
[Collection(nameof(Alone))]
public sealed class FaultSoakTests(ModelFixture models, ITestOutputHelper output) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task Each_request_is_complete_and_right_or_ends_with_an_explicit_error_and_nothing_is_left()
    {
        var seconds = double.Parse(Environment.GetEnvironmentVariable("GROK1_SOAK_SECONDS") ?? "20", CultureInfo.InvariantCulture);
        var ledger = await new FaultSoak(models.Endless(), tokens: 40, output.WriteLine).RunAsync(TimeSpan.FromSeconds(seconds), every: TimeSpan.FromSeconds(2), seed: 1);
        output.WriteLine($"{ledger}");
        Assert.True(ledger is { Complete: > 0, Faults: > 0 }, $"{ledger}");
        Assert.Equal((0, 0), (ledger.Wrong, ledger.Cut));
        // Workers are started again well within the time that a request may wait for them.
        Assert.InRange(ledger.Errors, 0, ledger.Complete / 4);
        Assert.InRange(ledger.LateHandles, 0, ledger.EarlyHandles + 16);
        Assert.InRange(ledger.LateBytes, 0, ledger.EarlyBytes + (64 << 20));
    }
}
