using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Coordinator.Hosting;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>A coordinator with its HTTP API, until a signal: over workers on other machines, or over processes that it starts here.</summary>
internal static class ServeVerb
{
    public static Command Create()
    {
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var serve = new ServeOptions();
        var membership = new MembershipOptions("others", "--host and --port");
        var verb = new Verb("serve", "One coordinator with an HTTP API and a dashboard, over running workers or processes of its own.",
            "grok1 serve --model /data/grok-1-dense --plan plan.json --worker-address 10.0.0.1:9050,10.0.0.2:9050",
            "grok1 serve --model /data/grok-1-dense --etcd 10.0.0.1:2379 --host 10.0.0.2 --port 8080 --api-keys keys.txt",
            "grok1 serve --model demo --workers 4 --port 8080 --log-format json");
        serve.AddTo(verb);
        cluster.AddTo(verb);
        membership.AddTo(verb, coordinator: true);
        verb.Runs((context, cancellation) => RunAsync(context, cluster, serve, (_, _) => { }, cancellation, membership));
        return verb;
    }

    /// <summary>Serves until a signal, then lets requests that run come to their end; the next signal ends the process at once.</summary>
    /// <param name="ready">Told when requests are taken.</param>
    /// <param name="membership">How workers are found that the flags do not name; null: not at all.</param>
    public static async Task<int> RunAsync(
        VerbContext context, ClusterOptions cluster, ServeOptions serve, Action<CoordinatorHost, CoordinatorHostOptions> ready, CancellationToken cancellation, MembershipOptions? membership = null)
    {
        try
        {
            return await ServeAsync(context, cluster, serve, ready, membership, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // So early that there was nothing to drain.
            return ExitCodes.Ok;
        }
    }

    private static async Task<int> ServeAsync(
        VerbContext context, ClusterOptions cluster, ServeOptions serve, Action<CoordinatorHost, CoordinatorHostOptions> ready, MembershipOptions? membership, CancellationToken cancellation)
    {
        serve.RefuseIdle(context);
        membership?.RefuseIdle(context);
        var registered = membership?.IsUsed(context) == true;
        var settings = cluster.Read(context, registered, serve.ServesWeights(context));
        serve.RefuseIdle(context, registered || settings is not { Workers: 0, WorkerAddresses: [] });
        var options = serve.Read(context, ClusterStarter.Options(context, settings, cancellation));
        if (membership?.ForCoordinator(context, options.Api.Address.ToString(), options.Api.Port, options.Session.Tls?.Directory) is { } open)
        {
            if (options.Session is not { Workers: 0, WorkerAddresses: [] })
                throw new UsageException("--etcd: the workers are those in etcd; leave out --workers and --worker-address");
            options = options with { Session = options.Session with { OpenMembership = open, LeastWorkers = membership.LeastWorkers(context) } };
        }
        using var lost = new DeviceLoss("coordinator");
        options = options with { Engine = options.Engine with { StepFailed = lost.Notice } };
        SecurityFlags.WarnOfClear(context, options.Session);
        await using var host = await CoordinatorHost.StartAsync(options, Console.Error, TimeProvider.System, cancellation);
        try
        {
            await host.LoadAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            host.Log.Stopping();
            return ExitCodes.Ok;
        }
        ready(host, options);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(lost.Token, cancellation);
        await Task.Delay(Timeout.Infinite, end.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await host.DrainAsync();
        lost.ThrowIfLost();
        return ExitCodes.Ok;
    }
}
