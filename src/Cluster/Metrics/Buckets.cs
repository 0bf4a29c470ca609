namespace Grok1Cluster.Cluster.Metrics;

/// <summary>
/// Upper edges of histograms, in seconds or tokens. Those of requests are vLLM's, so that dashboards made for it fit, with
/// finer ones below for small models and coarser ones above for slow clusters.
/// </summary>
public static class Buckets
{
    /// <summary>Time to the first token.</summary>
    public static readonly double[] TimeToFirstToken =
        [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560, 10_240];

    /// <summary>Time from a token to the next.</summary>
    public static readonly double[] TimePerOutputToken =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 320];

    /// <summary>Whole requests and their parts.</summary>
    public static readonly double[] Request =
        [0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680, 30_720];

    /// <summary>Tokens of a request.</summary>
    public static readonly double[] RequestTokens = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];

    /// <summary>Tokens of a step.</summary>
    public static readonly double[] StepTokens = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];

    /// <summary>Phases of a call to a worker, steps.</summary>
    public static readonly double[] Dispatch =
        [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
}
