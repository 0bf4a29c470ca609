using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Checkpoints;

/// <summary>A model as somebody published it: the seam through which an import reads any source format.</summary>
public interface ICheckpoint : IDisposable
{
    Grok1Config Config { get; }

    /// <summary>A SentencePiece <c>tokenizer.model</c> beside the weights, or null.</summary>
    string? TokenizerPath { get; }

    /// <summary>Full paths of all files the model is read from, in a fixed order, for a fingerprint of the source.</summary>
    IReadOnlyList<string> Files { get; }

    /// <summary>
    /// The tensor of a role, its type and shape checked against <see cref="Config"/>, its values not yet looked at. Safe to call
    /// from several threads. The caller disposes the tensor, which stays valid after the checkpoint is disposed.
    /// </summary>
    /// <param name="layer">0 to LayerCount - 1; ignored for roles that occur once.</param>
    /// <exception cref="ModelException">The tensor is not what the config says it must be.</exception>
    SourceTensor Open(TensorRole role, int layer);
}
