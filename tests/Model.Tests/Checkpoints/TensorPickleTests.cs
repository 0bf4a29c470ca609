using System.Text;
using Grok1Cluster.Model.Checkpoints.Pickle;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Checkpoints;

public sealed class TensorPickleTests
{
    private static readonly string TinyB = Path.Combine(Repository.TestData, "tiny-b", "ckpt-0");

    [Fact]
    public void A_float32_array_is_found_where_it_lies()
    {
        var file = new PickleBuilder().Float32([2, 3], 1, 2, 3, 4, 5, 6).Op('.').ToArray();

        var tensor = PickleBuilder.Read(file);

        Assert.Null(tensor.Scales);
        Assert.Equal(PickledType.Float32, tensor.Values.Type);
        Assert.Equal([2L, 3L], tensor.Values.Shape);
        Assert.Equal(24, tensor.Values.Bytes);
        Assert.Equal(6f, BitConverter.ToSingle(file, (int)tensor.Values.Offset + 20));
    }

    [Fact]
    public void A_quantised_pair_is_found_where_it_lies()
    {
        var file = new PickleBuilder().Quantized([2, 2], [1, -2, 3, -4], [1, 2], [0x3F80, 0x4000]).Op('.').ToArray();

        var tensor = PickleBuilder.Read(file);

        Assert.Equal((PickledType.Int8, PickledType.BFloat16), (tensor.Values.Type, tensor.Scales!.Type));
        Assert.Equal([1L, 2L], tensor.Scales.Shape);
        Assert.Equal(unchecked((byte)-4), file[tensor.Values.Offset + 3]);
        Assert.Equal(0x4000, BitConverter.ToUInt16(file, (int)tensor.Scales.Offset + 2));
    }

    [Theory]
    [InlineData("numpy.core.multiarray")]
    [InlineData("numpy._core.multiarray")]
    public void Both_homes_of_numpys_arrays_are_known(string module) =>
        Assert.Equal(4, new PickleBuilder().Array([1], p => p.DType("<f4"), new byte[4], module: module).Read().Values.Bytes);

    [Theory]
    [InlineData("ml_dtypes")]
    [InlineData("ml_dtypes._ml_dtypes_ext")]
    [InlineData("jaxlib.xla_extension")]
    [InlineData("jax._src.dtypes")]
    public void Every_home_of_bfloat16_is_known(string module) =>
        Assert.Equal(PickledType.BFloat16, new PickleBuilder().Array([3], p => p.DType("bfloat16", itemSize: 2, bfloat16Module: module), new byte[6]).Read().Values.Type);

    [Fact]
    public void A_type_state_in_another_size_is_refused() =>
        new PickleBuilder().Array([3], p => p.DType("bfloat16", itemSize: 4), new byte[6]).AssertRefused("a dtype state that is not that of BFloat16");

    [Theory]
    [InlineData(">f4", "<", "big-endian dtype '>f4'")]
    [InlineData("f4", ">", "big-endian Float32")]
    [InlineData("f4", "|", "byte order '|'")]
    [InlineData("f4", "=", "byte order '='")]
    [InlineData("f8", "<", "the dtype 'f8'")]
    [InlineData("i4", "<", "the dtype 'i4'")]
    [InlineData("O8", "|", "the dtype 'O8'")]
    [InlineData("V2", "|", "the dtype 'V2'")]
    public void Another_dtype_is_refused_by_name(string type, string order, string expected) =>
        new PickleBuilder().Array([1], p => p.DType(type, order), new byte[4]).AssertRefused(expected);

    [Fact]
    public void Fortran_order_is_refused() =>
        new PickleBuilder().Array([1, 2], p => p.DType(), new byte[8], fortran: true).AssertRefused("Fortran order");

    [Theory]
    [InlineData("posix", "system")]
    [InlineData("os", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("subprocess", "Popen")]
    [InlineData("_codecs", "encode")]
    [InlineData("numpy.core.numeric", "_frombuffer")]
    [InlineData("evil.ml_dtypes", "bfloat16")]
    [InlineData("jaxlib", "system")]
    public void A_call_of_anything_else_is_refused_by_name(string module, string name)
    {
        new PickleBuilder().Global(module, name).Text("touch /tmp/owned").Raw(0x85).Op('R').AssertRefused($"the global {module}.{name}");
        new PickleBuilder(3).Raw(Encoding.ASCII.GetBytes($"c{module}\n{name}\n")).Text("id").Raw(0x85).Op('R').AssertRefused($"the global {module}.{name}");
    }

    [Fact]
    public void A_name_cannot_smuggle_control_characters_into_the_message() =>
        new PickleBuilder().Global("os\n\e[2J", "\u202esystem").AssertRefused("the global os??[2J.?system");

    [Theory]
    [InlineData('0', "POP")]
    [InlineData('i', "INST")]
    [InlineData('o', "OBJ")]
    [InlineData('Q', "BINPERSID")]
    [InlineData(']', "EMPTY_LIST")]
    [InlineData('G', "BINFLOAT")]
    [InlineData('\x92', "NEWOBJ_EX")]
    [InlineData('\x82', "EXT1")]
    [InlineData('\x96', "BYTEARRAY8")]
    [InlineData('\x80', "PROTO")]
    [InlineData('\xff', "0xff")]
    public void An_opcode_that_does_not_occur_is_refused_by_name(char opcode, string name) =>
        new PickleBuilder().Float32([1], 1).Op(opcode).AssertRefused($"opcode {name}");

    [Fact]
    public void Only_what_numpy_writes_can_be_called_or_built()
    {
        new PickleBuilder().Global("numpy", "dtype").Op(')').Op('R').AssertRefused("a REDUCE of DType");
        new PickleBuilder().Global("numpy", "ndarray").Op(')').Raw(0x81).AssertRefused("a NEWOBJ of NDArray");
        new PickleBuilder().Text("x").Op(')').Op('R').AssertRefused("a REDUCE of something other than a global");
        new PickleBuilder().Global("numpy", "ndarray").Op('}').Op('b').AssertRefused("a BUILD");
        new PickleBuilder().Float32([1], 1).Op('(').Op('t').Op('b').AssertRefused("a BUILD");
        new PickleBuilder().EmptyArray().AssertRefused("a result other than an array");
        new PickleBuilder().Int(5).AssertRefused("a result other than an array");
        new PickleBuilder().Global("__main__", "QuantizedWeight8bit").Op(')').Raw(0x81).Op('}').Text("weight").Float32([1], 1).Op('s').Op('b')
            .AssertRefused("without exactly the arrays weight and scales");
    }

    [Fact]
    public void An_array_without_a_built_dtype_is_refused() =>
        new PickleBuilder().Array([1], p => p.Global("numpy", "dtype").Text("f4").Raw(0x89, 0x88, 0x87).Op('R'), new byte[4]).AssertRefused("an array state");

    [Theory]
    [InlineData(new long[] { -1 })]
    [InlineData(new long[] { -1, -4 })]
    [InlineData(new long[] { 0 })]
    [InlineData(new[] { long.MaxValue, 2 })]
    [InlineData(new[] { 1L << 32, 1L << 32 })]
    [InlineData(new[] { 1L << 62 })]
    [InlineData(new[] { long.MinValue })]
    public void Negative_and_overflowing_shapes_are_refused(long[] shape) =>
        new PickleBuilder().Array(shape, p => p.DType(), new byte[16]).AssertRefused("the shape [");

    [Fact]
    public void A_shape_of_another_size_than_its_bytes_is_refused() =>
        new PickleBuilder().Array([5], p => p.DType(), new byte[16]).AssertRefused("an array of 16 bytes where shape [5] of Float32 takes 20");

    [Theory]
    [InlineData(17UL)]
    [InlineData(1UL << 40)]
    [InlineData((ulong)long.MaxValue)]
    [InlineData(ulong.MaxValue)]
    public void A_length_past_the_end_is_refused(ulong claimed) =>
        AssertCutShort(new PickleBuilder().EmptyArray().Bytes(new byte[8], claimed).ToArray());

    [Fact]
    public void A_frame_past_the_end_inside_another_or_ending_inside_an_argument_is_refused()
    {
        AssertCutShort(new PickleBuilder().Raw(0x95, 255, 255, 255, 255, 255, 255, 255, 255).ToArray());
        AssertCutShort(new PickleBuilder().Raw(0x95, 9, 0, 0, 0, 0, 0, 0, 0).Op('N').ToArray());
        AssertCutShort(new PickleBuilder().Raw(0x95, 2, 0, 0, 0, 0, 0, 0, 0).Int(1).Op('.').ToArray());
        new PickleBuilder().Raw(0x95, 20, 0, 0, 0, 0, 0, 0, 0).Raw(0x95, 2, 0, 0, 0, 0, 0, 0, 0).Raw(new byte[30]).AssertRefused("a FRAME inside a FRAME");
    }

    [Fact]
    public void Millions_of_nested_marks_values_or_operations_are_refused_in_bounded_memory()
    {
        byte[] Repeat(ReadOnlySpan<byte> unit)
        {
            var file = new byte[2 + 30_000_000];
            file[0] = 0x80;
            file[1] = 4;
            for (var i = 2; i + unit.Length <= file.Length; i += unit.Length)
                unit.CopyTo(file.AsSpan(i));
            return file;
        }

        foreach (var (unit, expected) in new (byte[], string)[]
        {
            ([(byte)'('], "a MARK inside"),
            ([(byte)'N'], "a stack of more than"),
            ([(byte)'}'], "a stack of more than"),
            ([0x95, 0, 0, 0, 0, 0, 0, 0, 0], "a program of more than"),
            ([(byte)'(', (byte)'t', 0x85, 0x85], "a stack of more than"),
            ([(byte)'N', 0x94], "a stack of more than"),
        })
        {
            var file = Repeat(unit);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Contains(expected, Assert.Throws<ModelException>(() => PickleBuilder.Read(file)).Message);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2_000_000);
        }
    }

    [Fact]
    public void The_limits_are_named()
    {
        new PickleBuilder().Op('N').Op('r').Raw(255, 255, 255, 255).AssertRefused("memo entry 4294967295");
        new PickleBuilder().Op('h').Raw(7).AssertRefused("memo entry 7, which was never stored");
        new PickleBuilder().Op('t').AssertRefused("a MARK that is not there");
        new PickleBuilder().Op('(').Raw(0x85).AssertRefused("more values than there are");
        new PickleBuilder().Raw(0x94).AssertRefused("more values than there are");
        new PickleBuilder().Raw(0x8a, 255).Raw(new byte[255]).AssertRefused("an integer of 255 bytes");
        new PickleBuilder().Op('X').Raw(0, 1, 1, 0).Raw(new byte[70_000]).AssertRefused("a text of 65792 bytes");
        new PickleBuilder().Raw(0x8c, 2, 0xff, 0xfe).AssertRefused("not UTF-8");
        new PickleBuilder().Raw(Encoding.ASCII.GetBytes("c" + new string('x', 1000))).AssertRefused("a text of 257 bytes");
        new PickleBuilder().Op('(').Raw(Enumerable.Repeat((byte)'N', 40).ToArray()).Op('t').AssertRefused("more than 32 values");
        new PickleBuilder().Op('}').Text("a").Op('N').Op('s').Text("a").Op('N').Op('s').AssertRefused("occurs twice");
        new PickleBuilder().Op('}').Int(1).Op('N').Op('s').AssertRefused("a dict key");
    }

    [Fact]
    public void What_is_no_pickle_or_more_than_one_is_refused()
    {
        PickleBuilder.AssertRefused(Encoding.ASCII.GetBytes("I42\n."), "does not begin with PROTO");
        PickleBuilder.AssertRefused([0x80, 1, (byte)'.'], "a pickle protocol other than 2 to 5");
        PickleBuilder.AssertRefused([0x80, 6, (byte)'.'], "a pickle protocol other than 2 to 5");
        PickleBuilder.AssertRefused([0x80, 4, (byte)'.'], "0 values on the stack");
        new PickleBuilder().Float32([1], 1).Op('.').AssertRefused("more bytes after STOP");
        new PickleBuilder().Op('(').Float32([1], 1).AssertRefused("1 open marks");
        new PickleBuilder().Op('N').Float32([1], 1).AssertRefused("2 values on the stack");
    }

    [Theory]
    [InlineData("tensor00001_000")]
    [InlineData("tensor00005_000")]
    public void A_file_cut_at_any_byte_is_refused(string name)
    {
        var file = File.ReadAllBytes(Path.Combine(TinyB, name));
        PickleBuilder.Read(file);
        for (var length = 0; length < file.Length; length++)
        {
            AssertCutShort(file[..length]);
        }
    }

    [Theory]
    [InlineData("tensor00001_000", 9000)]
    [InlineData("tensor00005_000", 9000)]
    public void Flipped_bits_are_refused_or_leave_a_tensor_inside_the_file(string name, int rounds)
    {
        var sound = File.ReadAllBytes(Path.Combine(TinyB, name));
        var values = PickleBuilder.Read(sound).Values;
        int[] header = [.. Enumerable.Range(0, sound.Length).Where(i => i < values.Offset || i >= values.Offset + values.Bytes)];
        var random = new Random(314);
        var refused = 0;
        for (var round = 0; round < rounds; round++)
        {
            var damaged = (byte[])sound.Clone();
            for (var flips = random.Next(1, 5); flips > 0; flips--)
                damaged[header[random.Next(header.Length)]] ^= (byte)(1 << random.Next(8));
            refused += ReadsSoundlyOrRefuses(damaged) ? 0 : 1;
        }
        Assert.True(refused > rounds / 20, $"only {refused} of {rounds} were refused");
    }

    [Fact]
    public void Noise_is_refused()
    {
        var random = new Random(314);
        for (var round = 0; round < 20_000; round++)
        {
            var noise = new byte[random.Next(300)];
            random.NextBytes(noise);
            if (round % 2 == 0 && noise.Length > 2)
                (noise[0], noise[1]) = (0x80, 4);
            Assert.False(ReadsSoundlyOrRefuses(noise));
        }
    }

    [Fact]
    public void Programs_of_known_opcodes_in_any_order_are_refused_or_leave_a_tensor_inside_the_file()
    {
        Action<PickleBuilder>[] pieces =
        [
            p => p.Op('('), p => p.Op('t'), p => p.Op('N'), p => p.Op('}'), p => p.Op(')'), p => p.Op('s'), p => p.Op('u'), p => p.Op('b'), p => p.Op('R'),
            p => p.Raw(0x81), p => p.Raw(0x85), p => p.Raw(0x86), p => p.Raw(0x87), p => p.Raw(0x88), p => p.Raw(0x89), p => p.Raw(0x94), p => p.Raw(0x93),
            p => p.Op('h').Raw(0), p => p.Op('h').Raw(1), p => p.Op('q').Raw(1), p => p.Int(-1), p => p.Int(1L << 40), p => p.Text("weight"), p => p.Text("scales"),
            p => p.Bytes([1, 2, 3, 4]), p => p.DType(), p => p.DType("bfloat16"), p => p.EmptyArray(), p => p.Float32([1], 1),
            p => p.Global("__main__", "QuantizedWeight8bit"), p => p.Global("numpy", "ndarray"), p => p.Quantized([1, 1], [1], [1, 1], [1]),
        ];
        var random = new Random(2718);
        for (var round = 0; round < 30_000; round++)
        {
            var pickle = new PickleBuilder();
            for (var length = random.Next(1, 12); length > 0; length--)
                pieces[random.Next(pieces.Length)](pickle);
            ReadsSoundlyOrRefuses(pickle.Op('.').ToArray());
        }
    }

    private static void AssertCutShort(byte[] file) => PickleBuilder.AssertRefused(file, "past the end of the f");

    /// <summary>False when refused by a ModelException of one line; any other exception fails the test.</summary>
    private static bool ReadsSoundlyOrRefuses(byte[] file)
    {
        try
        {
            var tensor = PickleBuilder.Read(file);
            foreach (var array in (PickledArray?[])[tensor.Values, tensor.Scales])
            {
                if (array is null)
                    continue;
                var itemBytes = array.Type switch { PickledType.Int8 => 1, PickledType.BFloat16 => 2, _ => 4 };
                Assert.All(array.Shape, size => Assert.True(size > 0));
                Assert.Equal(array.Bytes, array.Shape.Aggregate((long)itemBytes, (a, b) => checked(a * b)));
                Assert.InRange(array.Offset, 0, file.Length);
                Assert.InRange(array.Bytes, 1, file.Length - array.Offset);
            }
            return true;
        }
        catch (ModelException e)
        {
            Assert.DoesNotContain(e.Message, char.IsControl);
            return false;
        }
    }
}
