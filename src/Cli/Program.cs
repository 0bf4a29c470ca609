using Grok1Cluster.Cli;

using var interrupt = new Interrupt();
return await CommandLine.RunAsync(args, interrupt.Token);
