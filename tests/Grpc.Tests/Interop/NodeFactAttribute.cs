using Grok1Cluster.TestKit;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>A fact that runs npm's @grpc/grpc-js; skipped, with a line that says so, where node, npm or the package is missing.</summary>
public sealed class NodeFactAttribute : FactAttribute
{
    internal static readonly NodePackage Package = new("@grpc/grpc-js", "1.14.7");

    public NodeFactAttribute()
    {
        if (Package.Missing.Value is { } reason)
            Skip = reason;
    }
}
