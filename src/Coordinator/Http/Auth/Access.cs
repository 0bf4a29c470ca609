using System.Net;
using Grok1Cluster.Coordinator.Http.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http.Auth;

/// <summary>Marks routes that need no key.</summary>
internal sealed class OpenToAll
{
    public static readonly OpenToAll Metadata = new();
}

/// <summary>Marks routes that move to the admin port where there is one.</summary>
internal sealed class ForAdmin
{
    public static readonly ForAdmin Metadata = new();
}

/// <summary>A connection to the admin port.</summary>
internal sealed class AdminConnection
{
    public static readonly AdminConnection Feature = new();
}

/// <summary>Whose request it is, once a key was found good.</summary>
/// <param name="Name">Of the key.</param>
internal sealed record ApiClient(string Name);

/// <summary>
/// Decides who may ask what: the right port, then the right key. Without keys the server listens on loopback alone, and a
/// request must name it as loopback, so that a web page cannot reach it under a name of its own (DNS rebinding).
/// </summary>
internal static class Access
{
    private const string Scheme = "Bearer ";

    public static void UseAccess(this IApplicationBuilder application, ApiKeys? keys, bool hasAdminPort) => application.Use((context, next) =>
    {
        var endpoint = context.GetEndpoint();
        var open = endpoint?.Metadata.GetMetadata<OpenToAll>() is not null;
        // The admin port has everything: the dashboard's playground asks for completions where it was loaded from.
        if (hasAdminPort && endpoint is not null && IsForAdmin(endpoint) && !IsOnAdminPort(context))
        {
            context.SetEndpoint(null);
            open = false;
        }
        if (keys is null)
            RequireLoopbackName(context);
        else if (!open)
            context.Features.Set(new ApiClient(RequireKey(context, keys)));
        return next(context);
    });

    private static bool IsForAdmin(Endpoint endpoint) => endpoint.Metadata.GetMetadata<ForAdmin>() is not null;

    private static bool IsOnAdminPort(HttpContext context) => context.Features.Get<AdminConnection>() is not null;

    private static string RequireKey(HttpContext context, ApiKeys keys)
    {
        var header = context.Request.Headers.Authorization.ToString();
        if (header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) && keys.NameOf(header[Scheme.Length..].Trim()) is { } name)
            return name;
        context.Response.Headers.WWWAuthenticate = "Bearer";
        throw new ApiException(header.Length == 0 ? "an API key is needed; send it as 'Authorization: Bearer KEY'" : "the API key is not one of this server's", null)
        {
            Status = StatusCodes.Status401Unauthorized, Code = "invalid_api_key",
        };
    }

    private static void RequireLoopbackName(HttpContext context)
    {
        var host = context.Request.Host.Host;
        if (string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase) || IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address))
            return;
        throw new ApiException("without API keys this server answers to localhost and loopback addresses only; start it with --api-keys to reach it by another name", "Host")
        {
            Status = StatusCodes.Status403Forbidden, Code = "host_not_allowed",
        };
    }
}
