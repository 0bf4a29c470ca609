using Grok1Cluster.Coordinator.Bench;
using Grok1Cluster.Coordinator.Bench.Wire;
using Grok1Cluster.Grpc;

// Round trips of gRPC messages on loopback, one in flight, beside those of raw sockets in the same run.
//   dotnet run -c Release --project bench/Wire.Bench [ROUNDS of 12 KiB, default 20000] [only=OVER/KiB/PEERS, such as tcp/12/8 or unix]
//       [with "stock": the stock transport as well]
var rounds = args.Length > 0 && int.TryParse(args[0], out var given) ? given : 20_000;
var only = args.FirstOrDefault(arg => arg.StartsWith("only=", StringComparison.Ordinal))?["only=".Length..] ?? "";
GrpcTransport[] transports = args.Contains("stock") ? [GrpcTransport.Own, GrpcTransport.Stock] : [GrpcTransport.Own];
Console.WriteLine($"load {MachineInfo.Here().LoadAverage:0.00}, {Environment.ProcessorCount} cores; microseconds; processor time of all ends / of the caller's end");
foreach (var transport in transports)
    await WireBenchmark.RunAsync(transport, mutualTls: true, rounds, warmUp: TimeSpan.FromSeconds(2), name => name.StartsWith(only, StringComparison.Ordinal), Report, CancellationToken.None);

static void Report(WireResult r) => Console.WriteLine(
    $"{r.Transport,-10} {r.Bytes >> 10,5} KiB x {r.FanOut}  p50 {r.P50Us,8:F1}  p99 {r.P99Us,8:F1}  p99.9 {r.P999Us,8:F1}  cpu {r.CpuUs,5:F0} / {r.NearCpuUs,5:F0}  {r.GbSEachWay,6:F2} GB/s each way"
    + $"  raw p50 {r.RawP50Us,6:F1}  p99 {r.RawP99Us,6:F1}  p99.9 {r.RawP999Us,8:F1}  cpu {r.RawCpuUs,5:F0} / {r.RawNearCpuUs,5:F0}");
