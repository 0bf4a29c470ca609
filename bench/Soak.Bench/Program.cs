using System.Diagnostics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Soak.Bench;
using Grok1Cluster.TestKit;

// Sequences of mixed lengths that join and are cancelled at random: every token is compared, and nothing may be left. In
// this process's engine, or with --http as streams from a server process.
//   dotnet run -c Release --project bench/Soak.Bench -- [--model demo] [--workers 2] [--plan auto] [--minutes 3] [--sequences 32] [--http]
string Option(string name, string otherwise) => Array.IndexOf(args, $"--{name}") is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;

var given = Option("model", "demo");
var model = Directory.Exists(given) ? Path.GetFullPath(given) : Path.Combine(Repository.Root, "models", given);
var (minutes, sequences) = (double.Parse(Option("minutes", "3")), int.Parse(Option("sequences", "32")));
if (args.Contains("--http"))
    return await new HttpSoak(model, int.Parse(Option("workers", "2")), sequences).RunAsync(TimeSpan.FromMinutes(minutes));
await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
{
    StorePath = model,
    Workers = int.Parse(Option("workers", "2")),
    Plan = PlanRequest.Parse(Option("plan", "auto")),
    Program = [Grok1Process.ExecutablePath],
}, Console.Error.WriteLine, CancellationToken.None);
var engine = session.StartEngine(new EngineOptions());
var soak = new Soak(engine, session.Store.Config.VocabularySize);
await soak.RunAloneAsync(CancellationToken.None);

var start = Stopwatch.GetTimestamp();
var memory = new List<long>();
var running = soak.RunAsync(sequences, () => Stopwatch.GetElapsedTime(start).TotalMinutes < minutes);
var line = TimeSpan.FromMinutes(minutes / 12);
Console.WriteLine("seconds  finished  cancelled    tokens  preempted  from cache  managed MiB  resident MiB (all processes)");
while (await Task.WhenAny(running, Task.Delay(line)) != running)
    Report();
await running;
Report();

engine.Dispose();
var left = session.KvPool.Capacity - session.KvPool.Available;
var after = engine.Statistics;
// The first third warms up: pools and caches fill, code is compiled again.
var (early, late) = (memory.Take(memory.Count / 2 + 1).Skip(memory.Count / 3).Max(), memory.Skip(2 * memory.Count / 3).Max());
var flat = late <= early * 1.05 + (16 << 20);
Console.WriteLine($"every token was right; left: {after.Running} running, {after.Waiting} waiting, {left} KV blocks; resident {early >> 20} MiB early, {late >> 20} MiB late: {(flat ? "flat" : "GROWS")}");
return after.Running + after.Waiting + left == 0 && flat ? 0 : 1;

void Report()
{
    var resident = session.LocalProcessIds.Append(Environment.ProcessId).Sum(id =>
    {
        using var process = Process.GetProcessById(id);
        return process.WorkingSet64;
    });
    memory.Add(resident);
    var now = engine.Statistics;
    Console.WriteLine($"{Stopwatch.GetElapsedTime(start).TotalSeconds,7:0}  {soak.Finished,8}  {soak.Cancelled,9}  {soak.Tokens,8}  {now.Preemptions,9}  {now.CachedTokens,10}  {GC.GetTotalMemory(true) / 1048576.0,11:0.0}  {resident >> 20,12}");
}
