using Grok1Cluster.Coordinator.Bench;
using Grok1Cluster.Coordinator.Bench.Wire;
using Grok1Cluster.Grpc;

// Round trips of gRPC messages on loopback, one in flight, beside those of raw sockets in the same run.
//   dotnet run -c Release --project bench/Wire.Bench [ROUNDS of 12 KiB, default 20000] [with "stock": the stock transport as well]
var rounds = args.Length > 0 && int.TryParse(args[0], out var given) ? given : 20_000;
GrpcTransport[] transports = args.Contains("stock") ? [GrpcTransport.Own, GrpcTransport.Stock] : [GrpcTransport.Own];
Console.WriteLine($"load {MachineInfo.Here().LoadAverage:0.00}, {Environment.ProcessorCount} cores; microseconds");
foreach (var transport in transports)
    await WireBenchmark.RunAsync(transport, mutualTls: true, rounds, Report, CancellationToken.None);

static void Report(WireResult r) => Console.WriteLine(
    $"{r.Transport,-10} {r.Bytes >> 10,5} KiB x {r.FanOut}  p50 {r.P50Us,8:F1}  p99 {r.P99Us,8:F1}  p99.9 {r.P999Us,8:F1}  cpu {r.CpuUs,6:F0}  {r.GbSEachWay,6:F2} GB/s each way"
    + (r.RawP50Us is null ? "" : $"  raw p50 {r.RawP50Us,6:F1}  p99 {r.RawP99Us,6:F1}"));
