using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Generation;

/// <summary>What a model takes as a prompt.</summary>
public static class PromptRules
{
    /// <exception cref="PromptException">Empty, too long, or an id outside the vocabulary.</exception>
    public static void Check(IReadOnlyList<int> tokens, Grok1Config config, int toGenerate)
    {
        if (tokens.Count == 0)
            throw new PromptException("there are no tokens to run; give at least one");
        if (tokens.Count > config.MaxSequenceLength - toGenerate)
            throw new PromptException($"there are {tokens.Count} tokens, the model takes {config.MaxSequenceLength}{(toGenerate > 0 ? " with at least one to generate" : "")}; shorten them");
        for (var i = 0; i < tokens.Count; i++)
            if (tokens[i] < 0 || tokens[i] >= config.VocabularySize)
                throw new PromptException($"token {i} is {tokens[i]}, outside the vocabulary of {config.VocabularySize}");
    }
}
