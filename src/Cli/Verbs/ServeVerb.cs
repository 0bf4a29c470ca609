using System.CommandLine;
using System.Net;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>A coordinator with its HTTP API, until a signal: over workers on other machines, or over processes that it starts here.</summary>
internal static class ServeVerb
{
    public static Command Create()
    {
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var host = new SettingOption<string>("--host", "serve:host", TextFormats.Text("IP"), "127.0.0.1", "address to listen on");
        var port = new SettingOption<int>("--port", "serve:port", TextFormats.Count(0, 65535), 8080, "HTTP port; 0 takes a free one");
        var verb = new Verb("serve", "One coordinator with an HTTP API (POST /v1/completions), over running workers or processes of its own.",
            "grok1 serve --model /data/grok-1-dense --plan plan.json --worker-address 10.0.0.1:9050,10.0.0.2:9050",
            "grok1 serve --model demo --workers 4 --port 8080") { host, port };
        cluster.AddTo(verb);
        verb.Runs(async (context, cancellation) =>
        {
            if (!IPAddress.TryParse(context.Get(host), out var address))
                throw new UsageException($"--host: '{context.Get(host)}' is not an IP address");
            await using var session = await ClusterStarter.StartAsync(context, cluster.Read(context), cancellation);
            var load = new ExpertLoad(session.Store.Config.LayerCount, session.Store.Config.ExpertCount, TimeProvider.System);
            session.Forward.Routed = (layer, chosen) => load.Add(layer, chosen.Span);
            var services = new CoordinatorServices(session, session.StartEngine(new EngineOptions()), load);
            await using var server = await CoordinatorServer.StartAsync(services, address, context.Get(port), cancellation);
            context.Output.Note($"serving {session.Store.Name} on {server.Url}");
            context.Output.Note($"  curl {server.Url}/v1/completions -H 'Content-Type: application/json' -d '{{\"prompt\": \"My fellow Americans, \", \"max_tokens\": 40}}'");
            await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            context.Output.Note("stopping");
            return ExitCodes.Ok;
        });
        return verb;
    }
}
