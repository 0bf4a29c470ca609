using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Reads a whole model store and checks everything.</summary>
internal static class VerifyVerb
{
    public static Command Create()
    {
        var path = new PathArgument("PATH", "a model store, or demo");
        var verb = new Verb("verify", "Read a whole model store and check every checksum, shape and value rule.",
            "grok1 verify demo", "grok1 verify /data/grok-1-store --json") { path };
        verb.AddJson();
        verb.Runs((context, cancel) => Task.FromResult(Run(context, context.LocateModel(context.Get(path)!), cancel)));
        return verb;
    }

    private static int Run(VerbContext context, string store, CancellationToken cancel)
    {
        StoreVerification found;
        using (var progress = new StoreProgressBar("verify", context.Output))
            found = StoreVerifier.Verify(store, Environment.ProcessorCount, progress, cancel);
        if (context.Output.Json)
            context.Output.WriteJson(new { Sound = found.IsSound, found.Files, found.Bytes, found.Problems, found.Unlisted });
        if (found.IsSound)
        {
            context.Output.WriteLine($"{store}: sound, {found.Files} files, {ByteSize.Format(found.Bytes)} read");
            return ExitCodes.Ok;
        }
        if (found.Problems.Count > 1)
            foreach (var problem in found.Problems)
                context.Output.WriteLine(problem);
        throw new ModelException(found.Problems is [var one] ? one : $"{store}: {found.Problems.Count + found.Unlisted} problems, see above; import the model again");
    }
}
