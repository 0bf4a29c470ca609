using System.Buffers.Binary;
using System.Text;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>
/// Whatever is wrong in a source: exit code 3, one clear line, no store. Tensors of tiny-b: 0 the embedding, 1 the final
/// norm [96] in float32, 2 the gates of layer 0 in int8, 9 a norm.
/// </summary>
public sealed class BrokenModelTests : IDisposable
{
    /// <summary>Where the bytes of the float32 array of a norm begin: behind the opcode BINBYTES and the length 384.</summary>
    private static readonly byte[] NormBytes = [(byte)'B', 0x80, 0x01, 0, 0];

    private readonly Workspace _workspace = new();

    public void Dispose() => _workspace.Dispose();

    /// <summary>What is wrong, what the message has to say.</summary>
    public static TheoryData<string, string> Faults => new()
    {
        { "a truncated tensor", "the file is cut short or damaged" },
        { "an empty tensor", "tensor00002_000: is empty" },
        { "a missing tensor", "missing: tensor00005_000" },
        { "a tensor too many", "unexpected: tensor00099_000" },
        { "a folder without tensors", "has 26 tensor files; missing: tensor00000_000" },
        { "a tensor of another shape", "tensor00001_000: " },
        { "a tensor of another type", "tensor00009_000: " },
        { "a NaN", "is NaN" },
        { "an infinity", "Infinity" },
        { "a scale of zero", "must be finite and greater than 0" },
        { "a pickle that calls os.system", "posix.system" },
        { "a length past the end", "a byte string of 2147483647 bytes at byte 145 goes past the end" },
        { "a length that overflows", "a length of 18446744073709551615 bytes" },
        { "an array length that overflows", "a byte string of 4294967295 bytes" },
        { "millions of nested marks", "tensor00001_000: " },
        { "noise", "tensor00001_000: " },
        { "a negative size in config.json", "FeedForwardDim (intermediate_size) is -256" },
        { "a config.json that is cut", "config.json: not valid JSON" },
        { "a config.json without a size", "hidden_size is missing" },
        { "a config.json of a larger model", "shape" },
        { "a tokenizer of another vocabulary", "tokenizer.model: has 2048 pieces, the model's vocabulary has 512" },
        { "a tokenizer of noise", "tokenizer.model: " },
        { "no model at the path", "no ckpt-0 folder" },
    };

    [Theory, MemberData(nameof(Faults))]
    public async Task A_broken_model_is_refused_at_import_in_one_line(string fault, string message)
    {
        Break(fault);
        Workspace.AssertRefused(await Grok1Process.RunAsync("import", _workspace.Source, _workspace.Store), message);
        Assert.False(Path.Exists(_workspace.Store));
        Assert.False(File.Exists(SideEffect));
    }

    [Fact]
    public async Task The_copy_that_these_tests_break_is_sound_before() => await _workspace.ImportAsync();

    private string SideEffect => _workspace.PathTo("executed");

    private void Break(string fault)
    {
        var (norm, gates) = (_workspace.Tensor(1), _workspace.Tensor(2));
        var tokenizer = Path.Combine(_workspace.Source, "tokenizer.model");
        switch (fault)
        {
            case "a truncated tensor":
                using (var file = File.OpenWrite(gates))
                    file.SetLength(file.Length / 2);
                break;
            case "an empty tensor": File.WriteAllBytes(gates, []); break;
            case "a missing tensor": File.Delete(_workspace.Tensor(5)); break;
            case "a tensor too many": File.Copy(norm, _workspace.Tensor(99)); break;
            case "a folder without tensors":
                foreach (var file in Directory.EnumerateFiles(Path.GetDirectoryName(norm)!))
                    File.Delete(file);
                break;
            case "a tensor of another shape": File.Copy(_workspace.Tensor(0), norm, overwrite: true); break;
            case "a tensor of another type": File.Copy(gates, _workspace.Tensor(9), overwrite: true); break;
            case "a NaN": PatchNorm(file => BinaryPrimitives.WriteSingleLittleEndian(file, float.NaN)); break;
            case "an infinity": PatchNorm(file => BinaryPrimitives.WriteSingleLittleEndian(file, float.NegativeInfinity)); break;
            case "a scale of zero":
                // The scales come last in the pickle: the last bfloat16 of them lies before the closing opcodes.
                var bytes = File.ReadAllBytes(gates);
                Assert.True(ClearLastScale(bytes));
                File.WriteAllBytes(gates, bytes);
                break;
            case "a pickle that calls os.system": File.WriteAllBytes(norm, CallSystem($"touch {SideEffect}")); break;
            case "a length past the end": PatchNorm(file => { }, length: 0x7fffffff); break;
            case "a length that overflows": File.WriteAllBytes(norm, [0x80, 4, 0x8e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, (byte)'.']); break;
            case "an array length that overflows": PatchNorm(file => { }, length: 0xffffffff); break;
            case "millions of nested marks": File.WriteAllBytes(norm, [0x80, 4, .. Enumerable.Repeat((byte)'(', 5_000_000), (byte)'.']); break;
            case "noise": File.WriteAllBytes(norm, Noise(4096)); break;
            case "a negative size in config.json": _workspace.Configure("intermediate_size", -256); break;
            case "a config.json that is cut": File.WriteAllText(_workspace.ConfigPath, "{\"hidden_size\": 96,"); break;
            case "a config.json without a size": File.WriteAllText(_workspace.ConfigPath, "{}"); break;
            case "a config.json of a larger model": _workspace.Configure("intermediate_size", 512); break;
            case "a tokenizer of another vocabulary": File.Copy(Workspace.Tokenizer, tokenizer); break;
            case "a tokenizer of noise": File.WriteAllBytes(tokenizer, Noise(4096)); break;
            case "no model at the path": Directory.Delete(_workspace.Source, recursive: true); break;
            default: throw new ArgumentOutOfRangeException(nameof(fault), fault, "unknown fault");
        }
    }

    private delegate void Patch(Span<byte> values);

    /// <summary>Changes the values of the final norm, or the length that stands before them.</summary>
    private void PatchNorm(Patch patch, uint? length = null)
    {
        var bytes = File.ReadAllBytes(_workspace.Tensor(1));
        var at = bytes.AsSpan().IndexOf(NormBytes);
        Assert.True(at > 0);
        if (length is { } claimed)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at + 1), claimed);
        patch(bytes.AsSpan(at + NormBytes.Length));
        File.WriteAllBytes(_workspace.Tensor(1), bytes);
    }

    /// <summary>The closing opcodes of an array's state and of the object are t, b, u, b and stop, some with a memo opcode behind.</summary>
    private static bool ClearLastScale(Span<byte> pickle)
    {
        ReadOnlySpan<byte> closing = [0x94, (byte)'t', 0x94, (byte)'b', (byte)'u', (byte)'b', (byte)'.'];
        if (!pickle.EndsWith(closing))
            return false;
        pickle[^(closing.Length + 2)..^closing.Length].Clear();
        return true;
    }

    /// <summary>What Python's pickle would run: <c>posix.system(command)</c>.</summary>
    private static byte[] CallSystem(string command) =>
        [0x80, 4, .. Text("posix"), .. Text("system"), 0x93, .. Text(command), 0x85, (byte)'R', (byte)'.'];

    /// <summary>SHORT_BINUNICODE.</summary>
    private static byte[] Text(string text) => [0x8c, (byte)text.Length, .. Encoding.ASCII.GetBytes(text)];

    private static byte[] Noise(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }
}
