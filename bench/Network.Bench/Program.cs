using Grok1Cluster.Network.Bench;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

// What a network between coordinator and workers costs: each on a host of its own (network namespaces, so as root), behind
// relays that delay every byte, measured by `grok1 bench` without delay and with round trips of 0.2 and 2 ms.
//   dotnet run -c Release --project bench/Network.Bench -- [--model demo] [--plan sliced] [--workers 2] [--rate 10gbit]
//       [--round-trips 0,0.2,2] [--prompt 512] [--generate 64] [--concurrency 1,8] [--repeat 3]
//       [--pipeline-depth N]
const int MessageBytes = 12 << 10;
if (NetworkLab.Missing.Value is { } reason)
{
    Console.Error.WriteLine(reason);
    return 4;
}
string Option(string name, string otherwise) => Array.IndexOf(args, $"--{name}") is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;

// A model is a store on this machine, wherever it lies; the demo's is beside the program.
var model = Option("model", "demo") is var given && Directory.Exists(given) ? Path.GetFullPath(given) : Path.Combine(Repository.Root, "models", given);
var rate = Option("rate", "") is { Length: > 0 } limit ? limit : null;
double[] roundTrips = [.. Option("round-trips", "0,0.2,2").Split(',').Select(double.Parse)];
string[] measured = ["--prompt", Option("prompt", "512"), "--generate", Option("generate", "64"), "--concurrency", Option("concurrency", "1,8"), "--repeat", Option("repeat", "3"),
    .. Option("pipeline-depth", "") is { Length: > 0 } depth ? ["--pipeline-depth", depth] : Array.Empty<string>()];

using var lab = new NetworkLab(1 + int.Parse(Option("workers", "2")), rate);
var undelayed = RelayCost.Measure(TimeSpan.Zero, MessageBytes, rounds: 2000);
Console.Error.WriteLine($"a round trip of 12 KiB takes {undelayed.DirectMicroseconds:0} us, through a relay without delay {undelayed.RelayedMicroseconds:0} us");
var runs = new List<NetworkRun>();
foreach (var roundTrip in roundTrips)
{
    // Late wake-ups are the relay's, not the link's: the delay is such that a round trip takes what it should.
    var cost = roundTrip == 0 ? undelayed : RelayCost.Calibrate(TimeSpan.FromMilliseconds(roundTrip), undelayed, MessageBytes, roundTrip > 1 ? 200 : 2000);
    using var cluster = await LabCluster.StartAsync(lab, model, Option("plan", "sliced"), cost.OneWay);
    runs.Add(await NetworkRun.MeasureAsync(cluster, roundTrip, cost, undelayed, measured));
}
NetworkRun.Print(runs, model);
return 0;
