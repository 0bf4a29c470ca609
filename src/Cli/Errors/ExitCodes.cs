using System.Net.Sockets;
using System.Security.Authentication;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Grpc;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Microsoft.AspNetCore.Connections;

namespace Grok1Cluster.Cli.Errors;

/// <summary>How a process tells why it ended, and the one place that maps exceptions to it.</summary>
internal static class ExitCodes
{
    /// <summary>Done or drained.</summary>
    public const int Ok = 0;

    public const int RuntimeFault = 1;

    /// <summary>Usage, or grok1's own configuration.</summary>
    public const int Usage = 2;

    /// <summary>Anything wrong in a model, and a plan that does not fit it.</summary>
    public const int Model = 3;

    /// <summary>Memory, disk, file handles.</summary>
    public const int Resources = 4;

    public const int Network = 5;

    public const int Auth = 6;

    /// <summary>A run that a signal ended (128 + SIGINT, as shells have it).</summary>
    public const int Interrupted = 130;

    /// <summary>ENOSPC, ENFILE, EMFILE, ENOMEM: what .NET puts into the HResult of an IOException on Unix.</summary>
    private static readonly int[] ExhaustedErrnos = [28, 23, 24, 12];

    /// <summary>
    /// The code of the first cause, from the outermost inwards, that has one of its own. A dispatch that failed for no such
    /// cause is the network's.
    /// </summary>
    public static int Of(Exception exception) =>
        Causes(exception).Select(Classify).FirstOrDefault(code => code != RuntimeFault,
            Causes(exception).Any(cause => cause is DispatchException) ? Network : RuntimeFault);

    private static int Classify(Exception exception) => exception switch
    {
        MembershipDeniedException => Auth,
        UsageException or CredentialsException or PromptException or StoreExistsException or UnnamedWorkerException => Usage,
        ModelException or PlanException => Model,
        ResourceException or CudaException or OutOfMemoryException => Resources,
        IOException when ExhaustedErrnos.Contains(exception.HResult) => Resources,
        AddressInUseException or SocketException or MembershipException or HttpRequestException { InnerException: null } => Network,
        RpcException { Code: GrpcStatusCode.Unavailable or GrpcStatusCode.DeadlineExceeded } => Network,
        AuthenticationException or RpcException { Code: GrpcStatusCode.Unauthenticated or GrpcStatusCode.PermissionDenied } => Auth,
        _ => RuntimeFault,
    };

    private static IEnumerable<Exception> Causes(Exception exception)
    {
        yield return exception;
        IEnumerable<Exception> inner = exception is AggregateException many ? many.InnerExceptions
            : exception.InnerException is { } one ? [one] : [];
        foreach (var cause in inner.SelectMany(Causes))
            yield return cause;
    }
}
