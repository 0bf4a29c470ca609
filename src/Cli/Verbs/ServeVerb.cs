using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>A coordinator with its HTTP API, until a signal: over workers on other machines, or over processes that it starts here.</summary>
internal static class ServeVerb
{
    public static System.CommandLine.Command Create()
    {
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var api = new ApiFlags();
        var verb = new Verb("serve", "One coordinator with an HTTP API as OpenAI's, over running workers or processes of its own.",
            "grok1 serve --model /data/grok-1-dense --plan plan.json --worker-address 10.0.0.1:9050,10.0.0.2:9050",
            "grok1 serve --host 0.0.0.0 --api-keys keys.txt --admin-port 8081 --model demo --workers 4");
        api.AddTo(verb);
        cluster.AddTo(verb);
        verb.Runs(async (context, cancellation) =>
        {
            var options = api.Read(context);
            await using var session = await ClusterStarter.StartAsync(context, cluster.Read(context), cancellation);
            var load = new ExpertLoad(session.Store.Config.LayerCount, session.Store.Config.ExpertCount, TimeProvider.System);
            session.Forward.Routed += (layer, chosen) => load.Add(layer, chosen.Span);
            var services = new CoordinatorServices(session, session.StartEngine(api.ReadEngine(context)), load);
            await using var server = await CoordinatorServer.StartAsync(services, options, cancellation);
            Announce(context, session.Store.Name, options, server);
            await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            context.Output.Note("stopping");
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static void Announce(VerbContext context, string model, ApiOptions options, CoordinatorServer server)
    {
        var key = options.Keys is null ? "" : " -H \"Authorization: Bearer $KEY\"";
        context.Output.Note(options.Template == ChatTemplate.None
            ? "chats are joined as they are: this is a base model, it was never taught to chat"
            : $"chats become prompts by the template {options.Template.Name}: this is a base model, it was never taught to chat (see --chat-template)");
        if (server.AdminUrl is { } admin)
            context.Output.Note($"metrics, cluster and dashboard on {admin}");
        context.Output.Note(options.Keys is null ? "no API keys: whoever can reach this machine's loopback can use it" : $"{options.Keys.Count} API keys");
        context.Output.Note($"  curl {server.Url}/v1/completions{key} -H 'Content-Type: application/json' -d '{{\"prompt\": \"My fellow Americans, \", \"max_tokens\": 40}}'");
        context.Output.Note($"serving {model} on {server.Url}");
    }
}
