using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Logging;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Tests.BadInput;

/// <summary>Requests that meet a fault of the program itself.</summary>
public sealed class FaultTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_fault_that_nobody_foresaw_is_logged_with_its_place_and_one_of_the_client_is_not(bool ofTheClient)
    {
        var events = new EventLog();
        using var factory = LoggerFactory.Create(logging => logging.AddProvider(new LineLoggerProvider(LogFormat.Text, TextWriter.Null, events, TimeProvider.System)));
        var application = new ApplicationBuilder(new NoServices());
        application.UseApiErrors(new CoordinatorLog(factory));
        application.Run(_ => throw (ofTheClient ? new ApiException("no such model", "model") : new InvalidOperationException("a table was empty")));
        var context = new DefaultHttpContext { TraceIdentifier = "req-7" };
        await application.Build()(context);
        Assert.Equal(ofTheClient ? StatusCodes.Status400BadRequest : StatusCodes.Status500InternalServerError, context.Response.StatusCode);
        if (ofTheClient)
            Assert.Empty(events.Latest);
        else
            Assert.Matches($"^request req-7 failed by a fault of this program: System.InvalidOperationException: a table was empty; at .*{nameof(FaultTests)}", Assert.Single(events.Latest).Text);
    }

    private sealed class NoServices : IServiceProvider
    {
        public object? GetService(Type serviceType) => null;
    }
}
