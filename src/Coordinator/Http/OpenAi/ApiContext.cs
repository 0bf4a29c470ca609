using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Engine;

namespace Grok1Cluster.Coordinator.Http.OpenAi;

/// <summary>What the routes of the model need.</summary>
internal sealed record ApiContext(ServedModel Model, InferenceEngine Engine, ApiLimits Limits, ChatTemplate Template, TimeSpan KeepAlive, TimeProvider Time);
