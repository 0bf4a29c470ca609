using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Grpc.Server;

/// <summary>What the server logs.</summary>
internal static partial class ServerLog
{
    [LoggerMessage(EventId = 4001, Level = LogLevel.Error, Message = "The handler of {Method} failed")]
    public static partial void HandlerFailed(ILogger logger, string method, Exception fault);
}
