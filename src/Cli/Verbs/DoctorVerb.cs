using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Model.Diagnostics;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Tells what this machine has for computing and what it lacks.</summary>
internal static class DoctorVerb
{
    public static Command Create()
    {
        var verb = new Verb("doctor", "Tell what this machine has for computing, what is missing and how to get it.", "grok1 doctor", "grok1 doctor --json");
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var checkup = MachineCheckup.Run();
            if (context.Output.Json)
                context.Output.WriteJson(new
                {
                    checkup.KernelId,
                    checkup.CudaUsable,
                    Findings = checkup.Findings.Select(finding => new { finding.Area, State = finding.State.ToString().ToLowerInvariant(), finding.Found, finding.Advice }),
                    Devices = checkup.Devices.Select(device => new
                    {
                        Id = $"cuda:{device.Ordinal}", device.Name, ComputeCapability = $"{device.Architecture / 10}.{device.Architecture % 10}", device.Multiprocessors, device.MemoryBytes,
                    }),
                });
            else
                Write(context, checkup.Findings);
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static void Write(VerbContext context, IReadOnlyList<Finding> findings)
    {
        var area = findings.Max(finding => finding.Area.Length);
        foreach (var finding in findings)
        {
            context.Output.WriteLine($"{finding.State.ToString().ToLowerInvariant(),-7}  {finding.Area.PadRight(area)}  {finding.Found}");
            if (finding.Advice is { } advice)
                context.Output.WriteLine($"{"",-7}  {"".PadRight(area)}  -> {advice}");
        }
    }
}
