using System.CommandLine;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Coordinator.Logging;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>The cluster of <c>run</c> with API and dashboard, until a signal.</summary>
internal static class UpVerb
{
    public static Command Create()
    {
        var cluster = new ClusterOptions(defaultWorkers: 4);
        var serve = new ServeOptions();
        var verb = new Verb("up", "Start a coordinator and worker processes on this machine, with API and dashboard, until Ctrl-C.",
            "grok1 up",
            "grok1 up --model /data/grok-1 --workers 8 --port 8080 --plan auto");
        serve.AddTo(verb);
        cluster.AddTo(verb);
        verb.Runs((context, cancellation) => ServeVerb.RunAsync(context, cluster, serve, (host, options) =>
        {
            if (options.LogFormat == LogFormat.Text)
                context.Output.Write(StartBanner.Of(host, options));
        }, cancellation));
        return verb;
    }
}
