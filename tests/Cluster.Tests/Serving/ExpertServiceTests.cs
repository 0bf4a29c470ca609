using System.Runtime.InteropServices;
using Google.Protobuf;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>A worker as any gRPC client sees it, with the generated messages: what it answers, and what it refuses without harm.</summary>
public sealed class ExpertServiceTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    private ModelStore _store = null!;
    private ExpertWorkerHost _worker = null!;
    private GrpcChannel _channel = null!;

    public async Task InitializeAsync()
    {
        _store = ModelStore.Open(models.Golden("tiny-a"));
        _worker = await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "w", ModelPath = models.Golden("tiny-a"), Threads = 1 }, _ => { }, CancellationToken.None);
        _channel = new GrpcChannel(_worker.Address.ToString(), new GrpcChannelOptions());
    }

    public async Task DisposeAsync()
    {
        _channel.Dispose();
        await _worker.DisposeAsync();
        _store.Dispose();
    }

    public static TheoryData<string, CallFailure.Types.Reason> Faults => new()
    {
        { "weights", CallFailure.Types.Reason.OtherWeights },
        { "layer", CallFailure.Types.Reason.Invalid },
        { "activation format", CallFailure.Types.Reason.Invalid },
        { "result format", CallFailure.Types.Reason.Invalid },
        { "no bundle", CallFailure.Types.Reason.Invalid },
        { "empty bundle", CallFailure.Types.Reason.Invalid },
        { "no token", CallFailure.Types.Reason.Invalid },
        { "more tokens than bytes", CallFailure.Types.Reason.Invalid },
        { "4 billion tokens", CallFailure.Types.Reason.Invalid },
        { "short activations", CallFailure.Types.Reason.Invalid },
        { "long scales", CallFailure.Types.Reason.Invalid },
        { "short gates", CallFailure.Types.Reason.Invalid },
        { "altered activation", CallFailure.Types.Reason.Corrupt },
        { "int8 of -128", CallFailure.Types.Reason.Invalid },
        { "gate that is not a number", CallFailure.Types.Reason.Invalid },
        { "infinite scale", CallFailure.Types.Reason.Invalid },
        { "negative scale", CallFailure.Types.Reason.Invalid },
        { "expert 8 of 8", CallFailure.Types.Reason.Invalid },
        { "outlier beside float32 activations", CallFailure.Types.Reason.Invalid },
        { "outlier of token 2 of 2", CallFailure.Types.Reason.Invalid },
        { "outlier of token -1", CallFailure.Types.Reason.Invalid },
        { "outlier past the row", CallFailure.Types.Reason.Invalid },
        { "outlier that is infinite", CallFailure.Types.Reason.Invalid },
        { "outlier where there is an activation", CallFailure.Types.Reason.Invalid },
        { "outlier twice", CallFailure.Types.Reason.Invalid },
        { "outliers descending", CallFailure.Types.Reason.Invalid },
        { "four outliers in a block", CallFailure.Types.Reason.Invalid },
        { "11 bytes of outliers", CallFailure.Types.Reason.Invalid },
        { "altered outlier", CallFailure.Types.Reason.Corrupt },
        { "columns off the edge of a tile", CallFailure.Types.Reason.NotHeld },
        { "columns past the end", CallFailure.Types.Reason.NotHeld },
        { "expert past the end", CallFailure.Types.Reason.NotHeld },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_call_that_is_not_sound_is_refused_with_its_reason_and_the_next_is_answered(string fault, CallFailure.Types.Reason reason)
    {
        using var stream = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
        var bad = Spoil(GoodCall(1), fault);
        await stream.WriteAsync(new ProcessRequest { Call = bad }, CancellationToken.None);
        var refused = await NextAsync(stream);
        Assert.Equal((ProcessResponse.KindOneofCase.Failure, 1ul, reason), (refused.KindCase, refused.Failure?.Id ?? 0, refused.Failure?.Reason ?? default));
        Assert.NotEmpty(refused.Failure!.Message);

        await stream.WriteAsync(new ProcessRequest { Call = GoodCall(2) }, CancellationToken.None);
        var answered = await NextAsync(stream);
        Assert.Equal((ProcessResponse.KindOneofCase.Result, 2ul), (answered.KindCase, answered.Result?.Id ?? 0));
        Assert.Equal(Crc32C.Compute(answered.Result!.Values.Span), answered.Result.Checksum);
    }

    [Fact]
    public async Task An_outlier_counts_as_the_activation_that_it_is()
    {
        using var stream = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
        // 5 steps of 0.01, as an int8 value and as an outlier; the same sum but for rounding.
        var quantised = GoodCall(1);
        var bytes = quantised.Activations.ToByteArray();
        (bytes[9], bytes[12]) = (5, 0xFB);
        quantised.Activations = ByteString.CopyFrom(bytes);
        var apart = quantised.Clone();
        (bytes[9], bytes[12]) = (0, 0);
        (apart.Id, apart.Activations, apart.Outliers) = (2, ByteString.CopyFrom(bytes), Outliers(new(0, 9, 0.05f), new(0, 12, -0.05f)));
        var without = apart.Clone();
        (without.Id, without.Outliers) = (3, ByteString.Empty);
        var answers = new List<float[]>();
        foreach (var call in (ExpertCall[])[quantised, apart, without])
        {
            call.ResultFormat = TensorFormat.Float32;
            await stream.WriteAsync(new ProcessRequest { Call = Sealed(call) }, CancellationToken.None);
            answers.Add(MemoryMarshal.Cast<byte, float>((await NextAsync(stream)).Result.Values.Span).ToArray());
        }
        double Distance(float[] a, float[] b) => Math.Sqrt(a.Zip(b, (x, y) => Math.Pow(x - y, 2)).Sum() / a.Sum(x => (double)x * x));
        Assert.InRange(Distance(answers[0], answers[1]), 0, 0.01);
        Assert.True(Distance(answers[0], answers[2]) > 3 * Distance(answers[0], answers[1]));
    }

    [Fact]
    public async Task An_id_that_is_open_already_ends_the_stream()
    {
        using var stream = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
        try
        {
            // The worker answers in between, so that it takes a few until two are open at once.
            for (var i = 0; i < 10_000; i++)
                await stream.WriteAsync(new ProcessRequest { Call = GoodCall(5) }, CancellationToken.None);
        }
        catch (RpcException)
        {
            // Why it takes no more comes to the reader.
        }
        var error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (true)
                await NextAsync(stream);
        });
        Assert.Contains("open already", error.Message);
        Assert.Equal(GrpcStatusCode.InvalidArgument, error.Code);
    }

    [Fact]
    public async Task Bytes_that_are_no_request_end_the_stream_and_not_the_worker()
    {
        var raw = new GrpcMethod<byte[], byte[]>(ExpertMethods.Service, "Process",
            new Marshaller<byte[]>(bytes => bytes.Length, (bytes, buffers) => System.Buffers.BuffersExtensions.Write(buffers, bytes), sequence => System.Buffers.BuffersExtensions.ToArray(sequence)),
            new Marshaller<byte[]>(bytes => bytes.Length, (bytes, buffers) => System.Buffers.BuffersExtensions.Write(buffers, bytes), sequence => System.Buffers.BuffersExtensions.ToArray(sequence)));
        foreach (var bytes in (byte[][])[[], [0xFF, 0xFF, 0xFF], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]])
        {
            using var stream = _channel.DuplexStreaming(raw, GrpcCallOptions.Endless, CancellationToken.None);
            await stream.WriteAsync(bytes, CancellationToken.None);
            await Assert.ThrowsAsync<RpcException>(() => stream.Responses.MoveNextAsync(CancellationToken.None).AsTask());
        }
        using var good = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
        await good.WriteAsync(new ProcessRequest { Call = GoodCall(1) }, CancellationToken.None);
        Assert.Equal(ProcessResponse.KindOneofCase.Result, (await NextAsync(good)).KindCase);
    }

    [Fact]
    public async Task Calls_of_several_streams_and_both_priorities_are_all_answered_with_the_same_bits()
    {
        byte[]? expected = null;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async number =>
        {
            using var stream = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
            const int Calls = 100;
            var writing = Task.Run(async () =>
            {
                for (var i = 1; i <= Calls; i++)
                {
                    var call = GoodCall((ulong)i);
                    call.Priority = (i + number) % 2 == 0 ? Priority.Decode : Priority.Bulk;
                    await stream.WriteAsync(new ProcessRequest { Call = call }, CancellationToken.None);
                }
                await stream.CompleteAsync(CancellationToken.None);
            });
            var ids = new HashSet<ulong>();
            while (await stream.Responses.MoveNextAsync(CancellationToken.None))
            {
                var result = stream.Responses.Current.Result;
                var values = result.Values.ToByteArray();
                Assert.Equal(Interlocked.CompareExchange(ref expected, values, null) ?? values, values);
                Assert.True(ids.Add(result.Id));
            }
            await writing;
            Assert.Equal(Calls, ids.Count);
        }));
    }

    private static async Task<ProcessResponse> NextAsync(DuplexStreamingCall<ProcessRequest, ProcessResponse> stream)
    {
        Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
        return stream.Responses.Current;
    }

    /// <summary>Two tokens for all experts of layer 0, whole.</summary>
    private ExpertCall GoodCall(ulong id)
    {
        var axis = _store.ExpertLayout.InputAxis;
        var activations = Enumerable.Range(0, 2 * axis.PaddedLength).Select(i => (byte)(sbyte)(i * 31 % 255 - 127)).ToArray();
        var call = new ExpertCall
        {
            Id = id, Layer = 0, Weights = ExpertMethods.ShortFingerprint(_store.Manifest.Fingerprint), Tokens = 2,
            ActivationFormat = TensorFormat.Int8Blocks, ResultFormat = TensorFormat.Bfloat16, Activations = ByteString.CopyFrom(activations),
            Scales = Floats(Enumerable.Repeat(0.01f, 2 * axis.BlockCount)), Experts = ByteString.CopyFrom(0, 3, 7, 1), Gates = Floats([0.5f, 0.25f, 0.5f, 0.125f]),
        };
        call.Bundles.Add(new Bundle());
        for (uint expert = 0; expert < 8; expert++)
            call.Bundles[0].Tiles.Add(new BundleTile { Expert = expert, Start = 0, End = (uint)_store.Config.FeedForwardDim });
        return Sealed(call);
    }

    private ExpertCall Spoil(ExpertCall call, string fault)
    {
        var tile = call.Bundles[0].Tiles[0];
        switch (fault)
        {
            case "weights": call.Weights++; break;
            case "layer": call.Layer = (uint)_store.Config.LayerCount; break;
            case "activation format": call.ActivationFormat = TensorFormat.Bfloat16; break;
            case "result format": call.ResultFormat = TensorFormat.Int8Blocks; break;
            case "no bundle": call.Bundles.Clear(); break;
            case "empty bundle": call.Bundles.Add(new Bundle()); break;
            case "no token": call.Tokens = 0; break;
            case "more tokens than bytes": call.Tokens = 3; break;
            case "4 billion tokens": call.Tokens = uint.MaxValue; break;
            case "short activations": call.Activations = ByteString.CopyFrom(call.Activations.Span[1..]); break;
            case "long scales": call.Scales = Floats(new float[100]); break;
            case "short gates": call.Gates = Floats([1, 1, 1]); break;
            case "altered activation": return Changed(call, call.Activations, (bytes, changed) => changed.Activations = bytes, 5, 1, seal: false);
            case "int8 of -128": return Changed(call, call.Activations, (bytes, changed) => changed.Activations = bytes, 5, 0x80, seal: true);
            case "gate that is not a number": call.Gates = Floats([0.5f, float.NaN, 1, 1]); break;
            case "infinite scale": call.Scales = Floats(Enumerable.Repeat(float.PositiveInfinity, call.Scales.Length / 4)); break;
            case "negative scale": call.Scales = Floats(Enumerable.Repeat(-1f, call.Scales.Length / 4)); break;
            case "expert 8 of 8": call.Experts = ByteString.CopyFrom(0, 3, 8, 1); break;
            case "outlier beside float32 activations": (call.ActivationFormat, call.Outliers) = (TensorFormat.Float32, Outliers(new RowOutlier(0, 9, 1))); Floated(call); break;
            case "outlier of token 2 of 2": call.Outliers = Outliers(new RowOutlier(2, 9, 1)); break;
            case "outlier of token -1": call.Outliers = Outliers(new RowOutlier(-1, 9, 1)); break;
            case "outlier past the row": call.Outliers = Outliers(new RowOutlier(0, _store.ExpertLayout.InputAxis.PaddedLength, 1)); break;
            case "outlier that is infinite": Zero(call, 9); call.Outliers = Outliers(new RowOutlier(0, 9, float.PositiveInfinity)); break;
            case "outlier where there is an activation": Zero(call, 9); call.Outliers = Outliers(new RowOutlier(0, 10, 1)); break;
            case "outlier twice": Zero(call, 9); call.Outliers = Outliers(new(0, 9, 1), new(0, 9, 1)); break;
            case "outliers descending": Zero(call, 9, 10); call.Outliers = Outliers(new(0, 10, 1), new(0, 9, 1)); break;
            case "four outliers in a block": Zero(call, 4, 5, 6, 7); call.Outliers = Outliers(new(0, 4, 1), new(0, 5, 1), new(0, 6, 1), new(0, 7, 1)); break;
            case "11 bytes of outliers": call.Outliers = ByteString.CopyFrom(new byte[11]); break;
            case "altered outlier":
                Zero(call, 9);
                call.Outliers = Outliers(new RowOutlier(0, 9, 1));
                Sealed(call).Outliers = Outliers(new RowOutlier(0, 9, 2));
                return call;
            case "columns off the edge of a tile": tile.End -= 1; break;
            case "columns past the end": tile.End = uint.MaxValue; break;
            case "expert past the end": tile.Expert = uint.MaxValue; break;
            default: throw new ArgumentOutOfRangeException(nameof(fault), fault, null);
        }
        return Sealed(call);
    }

    private static ExpertCall Changed(ExpertCall call, ByteString old, Action<ByteString, ExpertCall> set, int at, byte value, bool seal)
    {
        var bytes = old.ToByteArray();
        bytes[at] = value == bytes[at] ? (byte)(value + 1) : value;
        set(ByteString.CopyFrom(bytes), call);
        return seal ? Sealed(call) : call;
    }

    private static void Zero(ExpertCall call, params int[] at)
    {
        var bytes = call.Activations.ToByteArray();
        foreach (var index in at)
            bytes[index] = 0;
        call.Activations = ByteString.CopyFrom(bytes);
    }

    private static void Floated(ExpertCall call) => (call.Activations, call.Scales) = (Floats(new float[call.Activations.Length]), ByteString.Empty);

    private static ByteString Outliers(params RowOutlier[] outliers) => ByteString.CopyFrom(MemoryMarshal.AsBytes<RowOutlier>(outliers));

    private static ExpertCall Sealed(ExpertCall call)
    {
        call.Checksum = Crc32C.Compute([.. call.Activations.Span, .. call.Scales.Span, .. call.Experts.Span, .. call.Gates.Span, .. call.Outliers.Span]);
        return call;
    }

    private static ByteString Floats(IEnumerable<float> values) => ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(values.ToArray()));
}
