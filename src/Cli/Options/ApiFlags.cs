using System.CommandLine;
using System.Net;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Model;

namespace Grok1Cluster.Cli.Options;

/// <summary>The flags of the HTTP API, the same on every verb that serves.</summary>
internal sealed class ApiFlags
{
    private static readonly ApiLimits Defaults = new();
    private static readonly EngineOptions EngineDefaults = new();

    private readonly SettingOption<string> _host = new("--host", "serve:host", TextFormats.Text("IP"), "127.0.0.1", "address to listen on; other than loopback needs --api-keys");
    private readonly SettingOption<int> _port = new("--port", "serve:port", TextFormats.Count(0, 65535), 8080, "HTTP port; 0 takes a free one");

    private readonly SettingOption<int?> _adminPort = new(
        "--admin-port", "serve:admin_port", TextFormats.Optional(TextFormats.Count(0, 65535)), null, "a port of its own for metrics, cluster and dashboard (default: the same port)");

    private readonly SettingOption<string?> _keys = new("--api-keys", "serve:api_keys", TextFormats.OptionalText("FILE"), null, "file with a key a line, KEY or NAME KEY (default: no key, loopback only)");
    private readonly SettingOption<string> _template = new("--chat-template", "serve:chat_template", TextFormats.Text("plain|none|FILE"), "plain", "how chats become prompts for the base model");
    private readonly SettingOption<int> _rate = new("--rate-limit", "serve:rate_limit", TextFormats.Count(0, 1_000_000), 0, "requests a minute for each key; 0 is no limit");
    private readonly SettingOption<int> _queue = new("--max-queue", "serve:max_queue", TextFormats.Count(1, 65_536), EngineDefaults.MaxWaiting, "sequences that may wait; more get 503");
    private readonly SettingOption<int> _running = new("--max-running", "serve:max_running", TextFormats.Count(1, 4096), EngineDefaults.MaxRunning, "sequences that run at a time");
    private readonly SettingOption<int> _step = new("--step-ms", "serve:step_ms", TextFormats.Count(1, 60_000), EngineDefaults.StepMilliseconds, "milliseconds a step should take while sequences decode; prefill is cut to it");
    private readonly SettingOption<int> _prefillStep = new("--prefill-step-ms", "serve:prefill_step_ms", TextFormats.Count(1, 60_000), EngineDefaults.PrefillStepMilliseconds, "the same while none decodes: longer is more prompt tokens a second");
    private readonly SettingOption<long?> _body = new("--max-body", "serve:max_body", TextFormats.Optional(TextFormats.BytesFrom(1 << 10, 1 << 30)), null, $"size of a request's body (default: {ByteSize.Format(Defaults.BodyBytes)})");
    private readonly SettingOption<int> _prompts = new("--max-prompts", "serve:max_prompts", TextFormats.Count(1, 4096), Defaults.Prompts, "prompts of a request");
    private readonly SettingOption<int> _choices = new("--max-n", "serve:max_n", TextFormats.Count(1, 128), Defaults.Choices, "choices for each prompt");
    private readonly SettingOption<int?> _tokens = new("--max-generated", "serve:max_generated", TextFormats.Optional(TextFormats.Count(1)), null, "tokens to generate for each choice (default: the context)");
    private readonly SettingOption<int> _logprobs = new("--max-logprobs", "serve:max_logprobs", TextFormats.Count(0, 100), Defaults.Logprobs, "likeliest tokens to tell beside each token");
    private readonly SettingOption<double> _keepAlive = new("--keep-alive", "serve:keep_alive", TextFormats.Real(0.05, 3600), new ApiOptions().KeepAlive.TotalSeconds, "seconds without an event after which a stream gets a comment, for proxies that cut silent connections");
    private readonly SettingOption<int> _drafts = new("--draft-tokens", "serve:draft_tokens", TextFormats.Count(0, 32), 0, "tokens a step guesses from the text itself (prompt lookup); 0 is off");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _host, _port, _adminPort, _keys, _template, _rate, _queue, _running, _step, _prefillStep, _body, _prompts, _choices, _tokens, _logprobs, _drafts, _keepAlive })
            command.Add(option);
    }

    /// <exception cref="UsageException">What is wrong, all of it.</exception>
    public ApiOptions Read(VerbContext context)
    {
        if (!IPAddress.TryParse(context.Get(_host), out var address))
            throw new UsageException($"--host: '{context.Get(_host)}' is not an IP address");
        var options = new ApiOptions
        {
            Address = address,
            Port = context.Get(_port),
            AdminPort = context.Get(_adminPort),
            Keys = Load("--api-keys", context.Get(_keys), ApiKeys.Load),
            KeepAlive = TimeSpan.FromSeconds(context.Get(_keepAlive)),
            Template = Load("--chat-template", context.Get(_template), ChatTemplate.Parse)!,
            Limits = new ApiLimits
            {
                BodyBytes = (int)(context.Get(_body) ?? Defaults.BodyBytes), Prompts = context.Get(_prompts), Choices = context.Get(_choices), Tokens = context.Get(_tokens),
                Logprobs = context.Get(_logprobs), RequestsPerMinute = context.Get(_rate),
            },
        };
        return options.FindErrors() is [_, ..] errors ? throw new UsageException(string.Join("; ", errors)) : options;
    }

    /// <summary>How the engine serves these requests.</summary>
    public EngineOptions ReadEngine(VerbContext context) => new()
    {
        MaxWaiting = context.Get(_queue), MaxRunning = context.Get(_running), StepMilliseconds = context.Get(_step), PrefillStepMilliseconds = context.Get(_prefillStep),
        DraftTokens = context.Get(_drafts),
    };

    private static T? Load<T>(string flag, string? name, Func<string, T> load) where T : class
    {
        try
        {
            return name is null ? null : load(name);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{flag}: {e.Message}", e);
        }
    }
}
