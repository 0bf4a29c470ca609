namespace Grok1Cluster.Engine.Generation;

/// <summary>A prompt that the model cannot take: empty, too long, or with ids outside the vocabulary. The caller's error.</summary>
public sealed class PromptException(string message) : Exception(message);
