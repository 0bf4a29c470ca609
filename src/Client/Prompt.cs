using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grok1Cluster.Client;

/// <summary>What a completion continues: a text, several texts, token ids, or several lists of them.</summary>
[JsonConverter(typeof(Converter))]
public sealed class Prompt
{
    private readonly object _value;

    private Prompt(object value) => _value = value;

    /// <summary>One prompt as text.</summary>
    public static implicit operator Prompt(string text) => new(text);

    /// <summary>One prompt as token ids.</summary>
    public static implicit operator Prompt(int[] tokens) => new(tokens);

    /// <summary>Several prompts; their choices come one prompt after the other.</summary>
    public static Prompt Texts(IEnumerable<string> texts) => new(texts.ToArray());

    /// <summary>Several prompts as token ids.</summary>
    public static Prompt Tokens(IEnumerable<int[]> prompts) => new(prompts.ToArray());

    private sealed class Converter : JsonConverter<Prompt>
    {
        public override Prompt Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException("prompts are only sent");

        public override void Write(Utf8JsonWriter writer, Prompt value, JsonSerializerOptions options) => JsonSerializer.Serialize(writer, value._value, value._value.GetType(), options);
    }
}
