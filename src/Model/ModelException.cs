namespace Grok1Cluster.Model;

/// <summary>
/// Something is wrong in a model: its config, tokenizer, weights, or the path to it. The message says what, which file
/// or tensor, and what to do; the command line ends with exit code 3.
/// </summary>
public sealed class ModelException : Exception
{
    public ModelException(string message) : base(message) { }

    public ModelException(string message, Exception inner) : base(message, inner) { }
}
