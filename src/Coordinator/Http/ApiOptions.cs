using System.ComponentModel.DataAnnotations;
using System.Net;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>Where the HTTP API listens, to whom it answers, and how much it takes.</summary>
public sealed record ApiOptions
{
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>0 takes a free one. Default 8080.</summary>
    [Range(0, 65_535)]
    public int Port { get; init; } = 8080;

    /// <summary>A port for metrics, cluster and dashboard, which then are not on <see cref="Port"/>; null, the default: none of their own.</summary>
    [Range(0, 65_535)]
    public int? AdminPort { get; init; }

    /// <summary>Null, the default: no key is needed, and only loopback is served.</summary>
    public ApiKeys? Keys { get; init; }

    public ApiLimits Limits { get; init; } = new();

    /// <summary>A stream of events in which nothing happens for so long gets a comment. Default 10 s.</summary>
    public TimeSpan KeepAlive { get; init; } = EventStream.KeepAlive;

    /// <summary>How chats become prompts.</summary>
    public ChatTemplate Template { get; init; } = ChatTemplate.Plain;

    /// <summary>Everything that is wrong, a sentence for each.</summary>
    public IReadOnlyList<string> FindErrors()
    {
        var results = new List<ValidationResult>();
        Validator.TryValidateObject(this, new ValidationContext(this), results, validateAllProperties: true);
        Validator.TryValidateObject(Limits, new ValidationContext(Limits), results, validateAllProperties: true);
        var errors = results.Select(result => result.ErrorMessage!).ToList();
        if (Keys is null && !IPAddress.IsLoopback(Address))
            errors.Add($"without API keys the server listens on loopback only, not on {Address}; give --api-keys FILE, or leave out --host");
        if (AdminPort is > 0 && AdminPort == Port)
            errors.Add($"the admin port is the API's, {Port}; give it one of its own");
        return errors;
    }
}
