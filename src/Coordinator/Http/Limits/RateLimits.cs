using System.Threading.RateLimiting;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Errors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Limits;

/// <summary>Requests a minute for each key, or for each address where there are no keys: a token bucket that holds one minute's worth.</summary>
internal static class RateLimits
{
    /// <summary>Only posts cost: the routes that compute are posts.</summary>
    public static void UseRateLimit(this IApplicationBuilder application, int requestsPerMinute, IList<IDisposable> owned)
    {
        if (requestsPerMinute == 0)
            return;
        var limiter = PartitionedRateLimiter.Create<HttpContext, string>(context => RateLimitPartition.GetTokenBucketLimiter(ClientOf(context), _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = requestsPerMinute, TokensPerPeriod = 1, ReplenishmentPeriod = TimeSpan.FromMinutes(1) / requestsPerMinute, QueueLimit = 0,
        }));
        owned.Add(limiter);
        application.Use(async (context, next) =>
        {
            if (HttpMethods.IsPost(context.Request.Method))
            {
                using var lease = limiter.AttemptAcquire(context);
                if (!lease.IsAcquired)
                    throw new ApiException($"more than {requestsPerMinute} requests a minute; wait as Retry-After says", null)
                    {
                        Status = StatusCodes.Status429TooManyRequests,
                        Code = "rate_limit_exceeded",
                        RetryAfter = lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.FromMinutes(1) / requestsPerMinute,
                    };
            }
            await next(context);
        });
    }

    private static string ClientOf(HttpContext context) =>
        context.Features.Get<ApiClient>()?.Name ?? context.Connection.RemoteIpAddress?.ToString() ?? "";
}
