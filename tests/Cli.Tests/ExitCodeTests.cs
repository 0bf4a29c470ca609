using System.Net.Sockets;
using System.Security.Authentication;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Microsoft.AspNetCore.Connections;

namespace Grok1Cluster.Cli.Tests;

public sealed class ExitCodeTests
{
    public static TheoryData<Exception, int> Codes => new()
    {
        { new InvalidOperationException("x"), 1 },
        { new IOException("disk on fire"), 1 },
        { new UsageException("x"), 2 },
        { new StoreExistsException("x"), 2 },
        { new ModelException("x"), 3 },
        { new PlanException("x", ["y"]), 3 },
        { new ResourceException("x"), 4 },
        { new OutOfMemoryException(), 4 },
        { new IOException("No space left on device", 28), 4 },
        { new SocketException((int)SocketError.AddressAlreadyInUse), 5 },
        { new IOException("Failed to bind", new AddressInUseException("in use")), 5 },
        { new HttpRequestException("refused", new SocketException((int)SocketError.ConnectionRefused)), 5 },
        { new HttpRequestException("no certificate", new AuthenticationException("x")), 6 },
        { new MembershipException("x"), 5 },
        { new RpcException(GrpcStatusCode.Unavailable, "x"), 5 },
        { new RpcException(GrpcStatusCode.DeadlineExceeded, "x"), 5 },
        { new RpcException(GrpcStatusCode.Unauthenticated, "x"), 6 },
        { new RpcException(GrpcStatusCode.PermissionDenied, "x"), 6 },
        { new RpcException(GrpcStatusCode.Internal, "x"), 1 },
        { new DispatchException("x"), 5 },
        { new DispatchException("x", new RpcException(GrpcStatusCode.Internal, "y")), 5 },
        { new DispatchException("x", new RpcException(GrpcStatusCode.Unauthenticated, "y")), 6 },
        { new AggregateException(new InvalidOperationException("x"), new ModelException("y")), 3 },
        { new ModelException("outer cause decides", new SocketException()), 3 },
    };

    [Theory, MemberData(nameof(Codes))]
    public void Every_fault_has_its_exit_code(Exception exception, int code)
    {
        var error = new StringWriter();
        Assert.Equal(code, ErrorReporter.Report(exception, error, CancellationToken.None));
        Assert.StartsWith("grok1: ", error.ToString());
        Assert.Single(error.ToString().TrimEnd().Split('\n'));
    }

    [Fact]
    public void A_message_cannot_write_lines_or_control_sequences_of_its_own()
    {
        var error = new StringWriter();
        ErrorReporter.Report(new ModelException("bad file a\nb\u001b[2J\r"), error, CancellationToken.None);
        Assert.Equal("grok1: bad file a b [2J \n", error.ToString());
    }

    [Fact]
    public void A_cancelled_run_ends_with_130_only_when_a_signal_cancelled_it()
    {
        Assert.Equal(130, ErrorReporter.Report(new OperationCanceledException(), new StringWriter(), new CancellationToken(canceled: true)));
        Assert.Equal(1, ErrorReporter.Report(new OperationCanceledException(), new StringWriter(), CancellationToken.None));
    }
}
