using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Tracing;

namespace Grok1Cluster.Cli.Options;

/// <summary>The flags of a coordinator that serves: where it listens, what it tells, how it ends.</summary>
internal sealed class ServeOptions
{
    private readonly ApiFlags _api = new();

    private readonly SettingOption<double> _drainTime = new(
        "--drain-time", "serve:drain_time", TextFormats.Real(0, 86_400), 20, "seconds that running requests have to finish after a signal");

    private readonly SettingOption<LogFormat> _logFormat = new(
        "--log-format", "serve:log_format", TextFormats.Choice<LogFormat>(), LogFormat.Text, "json: one object a line on stderr, requests included; never a prompt");

    private readonly SettingOption<string?> _otlpEndpoint = new(
        "--otlp-endpoint", "serve:otlp_endpoint", TextFormats.HttpUrl("http://localhost:4318"), null, "send traces to this OpenTelemetry collector, such as http://localhost:4318 (default: none)");

    private readonly SettingOption<double> _traceRatio = new(
        "--trace-ratio", "serve:trace_ratio", TextFormats.Real(0, 1), 0.01, "with --otlp-endpoint: share of the requests that are traced, unless their traceparent header says it");

    private readonly SettingOption<string?> _weightsListen = new(
        "--weights-listen", "serve:weights_listen", TextFormats.OptionalText("HOST:PORT"), null, "gRPC address where workers without weights fetch them from this disk (default: none)");

    private readonly SettingOption<string?> _weightsAdvertise = new(
        "--weights-advertise", "serve:weights_advertise", TextFormats.OptionalText("HOST:PORT"), null, "the same as workers reach it (default: --weights-listen)");

    private readonly SettingOption<long?> _transferLimit = new(
        "--transfer-limit", "serve:transfer_limit", TextFormats.Optional(TextFormats.Bytes), null, "bytes a second that a worker fetches when the plan changes (default: no limit)");

    private readonly SettingOption<bool> _insecure = SecurityFlags.InsecureOption("with --weights-listen: serve weights to other machines in clear, to whoever reaches the port");

    public void AddTo(Command command)
    {
        _api.AddTo(command);
        foreach (var option in new Option[] { _weightsListen, _weightsAdvertise, _insecure, _transferLimit, _drainTime, _logFormat, _otlpEndpoint, _traceRatio })
            command.Add(option);
    }

    /// <summary>Before a model is looked for, which may import it.</summary>
    /// <exception cref="UsageException">A flag would do nothing beside the others.</exception>
    public void RefuseIdle(VerbContext context)
    {
        context.RefuseIdle(!ServesWeights(context), "it goes with --weights-listen, which is missing", _weightsAdvertise, _insecure);
        context.RefuseIdle(context.Get(_otlpEndpoint) is null, "it goes with --otlp-endpoint, which is missing", _traceRatio);
    }

    /// <param name="hasWorkers">Whether there are workers, or may be some.</param>
    /// <exception cref="UsageException">A flag is for workers, and there is none.</exception>
    public void RefuseIdle(VerbContext context, bool hasWorkers) => context.RefuseIdle(
        !hasWorkers, "there is no worker, the experts are computed in this process; give --etcd, --worker-address or --workers", _weightsListen, _transferLimit);

    /// <summary>Whether workers may fetch weights here.</summary>
    public bool ServesWeights(VerbContext context) => context.Get(_weightsListen) is not null;

    /// <exception cref="UsageException">What is wrong with the API's settings, all of it.</exception>
    public CoordinatorHostOptions Read(VerbContext context, ClusterSessionOptions session)
    {
        if (context.Get(_weightsListen) is { } listen)
            SecurityFlags.CheckListening(context, "--weights-listen", listen, session.Tls, _insecure);
        return new CoordinatorHostOptions
        {
            Session = session with { Operations = ReadOperations(context) },
            Api = _api.Read(context),
            Engine = _api.ReadEngine(context),
            DrainTime = TimeSpan.FromSeconds(context.Get(_drainTime)),
            LogFormat = context.Get(_logFormat),
            Traces = context.Get(_otlpEndpoint) is { } endpoint ? new OtlpOptions { Endpoint = new Uri(endpoint), SampleRatio = context.Get(_traceRatio) } : null,
        };
    }

    private OperationOptions ReadOperations(VerbContext context) => new()
    {
        BytesPerSecond = context.Get(_transferLimit) ?? 0,
        WeightListen = context.Get(_weightsListen),
        WeightAddress = context.Get(_weightsAdvertise),
    };
}
