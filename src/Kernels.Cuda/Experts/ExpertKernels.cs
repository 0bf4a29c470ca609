using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.Cuda.Experts;

/// <summary>
/// The kernels of an expert, loaded for one device and one format of weights, and how they are launched. What a launch needs
/// besides the call is said at the top of each kernel file.
/// </summary>
public sealed class ExpertKernels : IDisposable
{
    /// <summary>Most pairs of an item in <see cref="Input"/> and <see cref="Down"/>: from there on <see cref="InputMany"/> and <see cref="DownMany"/> share weights among tokens.</summary>
    public const int MostStreamed = StreamKernel.MostTokens;

    /// <summary>Pairs that a block of the exact kernels takes.</summary>
    private const int ExactPairs = 8;

    private const int Warp = 32, QuantiseWarps = 4, CombineThreads = 256;

    private readonly List<IKernelModule> _modules = [];
    private readonly WeightFormat _format;
    private readonly (StreamKernel Input, StreamKernel Down)[] _streams;
    private readonly IKernel _quantise, _combine, _inputExact, _downExact, _inputMany, _downMany, _repack;

    /// <param name="device">Where they run.</param>
    /// <param name="format">int8 or int4.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled or loaded.</exception>
    public ExpertKernels(IKernelDevice device, WeightFormat format)
    {
        if (!Supports(format))
            throw new ArgumentException($"no kernels for {format} weights", nameof(format));
        _format = format;
        var name = format == WeightFormat.Int4 ? "int4" : "int8";
        var (input, down) = (Load(device, "expert_input.cu"), Load(device, "expert_down.cu"));
        _streams = [.. StreamKernel.Tokens.Select(tokens => (
            new StreamKernel(input.Find($"expert_input_{name}_{tokens}"), StreamKernel.SharedBytes(format, tokens, streams: 2)),
            new StreamKernel(down.Find($"expert_down_{name}_{tokens}"), StreamKernel.SharedBytes(format, tokens, streams: 1))))];
        _quantise = Load(device, "expert_quantise.cu").Find("expert_quantise");
        _combine = Load(device, "expert_combine.cu").Find("expert_combine");
        var exact = Load(device, "expert_exact.cu");
        (_inputExact, _downExact) = (exact.Find($"expert_input_exact_{name}"), exact.Find($"expert_down_exact_{name}"));
        var prefill = Load(device, "expert_prefill.cu");
        (_inputMany, _downMany) = (prefill.Find($"prefill_input_{name}"), prefill.Find($"prefill_down_{name}"));
        _repack = Load(device, "repack.cu").Find($"repack_{name}");
    }

    /// <summary>Whether there are kernels for experts in a format.</summary>
    public static bool Supports(WeightFormat format) => format is WeightFormat.Int8 or WeightFormat.Int4;

    /// <summary>Hidden activations of a call whose items have at most <see cref="MostStreamed"/> pairs, int8 activations.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="call">The call.</param>
    /// <param name="mostPairs">Most pairs of an item.</param>
    /// <param name="panels">Hidden panels of all items.</param>
    public void Input(IKernelStream stream, in ExpertCall call, int mostPairs, int panels)
    {
        var kernel = _streams[StreamKernel.IndexFor(mostPairs)].Input;
        stream.Launch(kernel.Kernel, new Grid(Parts(2 * panels, StreamKernel.Warps)), StreamKernel.Threads, kernel.Shared, new ExpertInputLaunch { Call = call, Panels = panels });
    }

    /// <summary>Quantises the hidden activations.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="call">The call.</param>
    /// <param name="mostBlocks">Most hidden activation blocks of an item.</param>
    /// <param name="pairs">Pairs of all items.</param>
    public void Quantise(IKernelStream stream, in ExpertCall call, int mostBlocks, int pairs) =>
        stream.Launch(_quantise, new Grid(Parts(mostBlocks, QuantiseWarps), pairs), QuantiseWarps * Warp, 0, call);

    /// <summary>The down product; as <see cref="Input"/>.</summary>
    public void Down(IKernelStream stream, in ExpertCall call, int mostPairs)
    {
        var kernel = _streams[StreamKernel.IndexFor(mostPairs)].Down;
        stream.Launch(kernel.Kernel, new Grid(Parts(2 * PanelLayout.PanelCount(call.Shape.Columns), StreamKernel.Warps), call.ItemCount), StreamKernel.Threads, kernel.Shared, call);
    }

    /// <summary>Hidden activations of a call of any number of pairs, int8 activations.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="call">The call.</param>
    /// <param name="mostPairs">Most pairs of an item.</param>
    /// <param name="mostPanels">Most hidden panels of an item.</param>
    public void InputMany(IKernelStream stream, in ExpertCall call, int mostPairs, int mostPanels) =>
        stream.Launch(_inputMany, new Grid(Parts(mostPairs, PrefillKernel.Tokens), Parts(mostPanels, PrefillKernel.Panels / 2), call.ItemCount), PrefillKernel.Threads, PrefillKernel.SharedBytes(_format), call);

    /// <summary>The down product; as <see cref="InputMany"/>.</summary>
    public void DownMany(IKernelStream stream, in ExpertCall call, int mostPairs) =>
        stream.Launch(
            _downMany, new Grid(Parts(mostPairs, PrefillKernel.Tokens), Parts(PanelLayout.PanelCount(call.Shape.Columns), PrefillKernel.Panels), call.ItemCount), PrefillKernel.Threads, PrefillKernel.SharedBytes(_format), call);

    /// <summary>Hidden activations in float32, any number of pairs.</summary>
    public void InputExact(IKernelStream stream, in ExpertCall call, int mostPairs, int panels) =>
        stream.Launch(_inputExact, new Grid(panels, Parts(mostPairs, ExactPairs)), Warp, 0, call);

    /// <summary>The down product in float32, any number of pairs.</summary>
    public void DownExact(IKernelStream stream, in ExpertCall call, int mostPairs) =>
        stream.Launch(_downExact, new Grid(PanelLayout.PanelCount(call.Shape.Columns), Parts(mostPairs, ExactPairs), call.ItemCount), Warp, 0, call);

    /// <summary>Adds the gated results to the rows of the sum.</summary>
    public void Combine(IKernelStream stream, in ExpertCall call) =>
        stream.Launch(_combine, new Grid(call.RowCount, Parts(call.Shape.Columns, CombineThreads)), CombineThreads, 0, call);

    /// <summary>Panels of the store's layout to those of device memory.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="repack">What.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="scaleRows">int8: weight groups whose scales come along; int4: 0.</param>
    public void Repack(IKernelStream stream, in RepackPanels repack, int panels, int scaleRows) =>
        stream.Launch(_repack, new Grid(panels, repack.BlockCount + (_format == WeightFormat.Int8 ? scaleRows : 0)), Warp, 0, repack);

    public void Dispose()
    {
        foreach (var module in _modules)
            module.Dispose();
    }

    private static int Parts(int of, int each) => (of + each - 1) / each;

    private IKernelModule Load(IKernelDevice device, string file)
    {
        var module = device.Load(file);
        _modules.Add(module);
        return module;
    }
}
