using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Checkpoints.Pickle;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Checkpoints;

/// <summary>Python and numpy as the judge: pickles they write, and tensors they read.</summary>
public sealed class NumpyPickleTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("numpy-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [PythonFact("numpy", "python3-numpy")]
    public void Pickles_that_numpy_writes_are_read_or_refused_by_name()
    {
        RunPython(
            """
            import pickle, sys, numpy as np
            class QuantizedWeight8bit:
                def __init__(self, weight, scales): self.weight, self.scales = weight, scales
            a = np.arange(6000, dtype=np.float32).reshape(60, 100)
            def dump(name, value, protocol): pickle.dump(value, open(f"{sys.argv[1]}/{name}", "wb"), protocol=protocol)
            for protocol in range(6):
                dump(f"c-{protocol}", a, protocol)
                dump(f"fortran-{protocol}", np.asfortranarray(a), protocol)
            for protocol in (3, 4):
                dump(f"view-{protocol}", a[::2, ::3], protocol)
                dump(f"big-{protocol}", a.astype(">f4"), protocol)
                dump(f"double-{protocol}", a.astype("f8"), protocol)
                dump(f"object-{protocol}", np.array([{}, "x"], dtype=object), protocol)
                dump(f"list-{protocol}", [a], protocol)
                dump(f"pair-{protocol}", QuantizedWeight8bit(a.astype("i1"), a), protocol)
            with open(f"{sys.argv[1]}/pure-4", "wb") as f: pickle._Pickler(f, 4).dump(a)
            """);

        foreach (var name in (string[])["c-3", "c-4", "pure-4"])
        {
            var file = File.ReadAllBytes(Path.Combine(_folder, name));
            var array = PickleBuilder.Read(file).Values;
            Assert.Equal([60L, 100L], array.Shape);
            Assert.Equal(5999f, BitConverter.ToSingle(file, (int)array.Offset + 5999 * 4));
        }
        foreach (var name in (string[])["view-3", "view-4"])
            Assert.Equal([30L, 34L], Read(name).Values.Shape);
        foreach (var name in (string[])["pair-3", "pair-4"])
            Assert.Equal((PickledType.Int8, PickledType.Float32), (Read(name).Values.Type, Read(name).Scales!.Type));

        // Older protocols have no byte strings; protocol 5 rebuilds a contiguous array from a buffer.
        AssertRefused("c-0", "protocol 0 or 1");
        AssertRefused("c-1", "protocol 0 or 1");
        AssertRefused("c-2", "the global _codecs.encode");
        AssertRefused("c-5", "_frombuffer");
        AssertRefused("fortran-3", "Fortran order");
        AssertRefused("fortran-4", "Fortran order");
        AssertRefused("fortran-5", "_frombuffer");
        AssertRefused("big-4", "big-endian Float32");
        AssertRefused("double-4", "the dtype 'f8'");
        AssertRefused("object-4", "the dtype 'O8'");
        AssertRefused("list-4", "opcode EMPTY_LIST");
    }

    [PythonFact("numpy", "python3-numpy")]
    public void Every_tensor_has_the_bytes_that_python_reads()
    {
        var source = Path.Combine(Repository.TestData, "tiny-a");
        RunPython(
            """
            import hashlib, json, os, pickle, sys, numpy as np
            class Quantized: pass
            class Reader(pickle.Unpickler):
                def find_class(self, module, name):
                    if name == "QuantizedWeight8bit": return Quantized
                    if name == "bfloat16": return "<u2"
                    if name == "dtype": return lambda t, *rest: np.dtype(t)
                    return super().find_class(module, name)
            sha = lambda a: hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest().upper()
            out = {}
            for f in os.listdir(sys.argv[2] + "/ckpt-0"):
                t = Reader(open(f"{sys.argv[2]}/ckpt-0/{f}", "rb")).load()
                out[f] = [sha(t.weight), sha(t.scales)] if isinstance(t, Quantized) else [sha(t)]
            json.dump(out, open(sys.argv[1] + "/sums", "w"))
            """, source);
        var expected = JsonSerializer.Deserialize<Dictionary<string, string[]>>(File.ReadAllText(Path.Combine(_folder, "sums")))!;

        using var checkpoint = Ckpt0Checkpoint.Open(source);
        var seen = new HashSet<string>();
        for (var layer = 0; layer < checkpoint.Config.LayerCount; layer++)
            foreach (var role in Enum.GetValues<TensorRole>())
            {
                using var tensor = checkpoint.Open(role, layer);
                var file = Path.GetFileName(tensor.File);
                Assert.Equal(expected[file], Sums(tensor));
                seen.Add(file);
            }
        Assert.Equal(146, seen.Count);
    }

    private static unsafe string[] Sums(SourceTensor tensor)
    {
        var values = Convert.ToHexString(SHA256.HashData(new ReadOnlySpan<byte>(tensor.Values, (int)tensor.ValueBytes)));
        return tensor.Scales is null
            ? [values]
            : [values, Convert.ToHexString(SHA256.HashData(new ReadOnlySpan<byte>(tensor.Scales, (int)tensor.ScaleCount * 2)))];
    }

    private PickledTensor Read(string name) => PickleBuilder.Read(File.ReadAllBytes(Path.Combine(_folder, name)));

    private void AssertRefused(string name, string expected) =>
        PickleBuilder.AssertRefused(File.ReadAllBytes(Path.Combine(_folder, name)), expected);

    private void RunPython(string script, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Python.Executable, ["-c", script, _folder, .. arguments]) { RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, errors);
    }
}
