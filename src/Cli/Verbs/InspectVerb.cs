using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Tells what a model is, without reading its weights.</summary>
internal static class InspectVerb
{
    public static Command Create()
    {
        var path = new PathArgument("PATH", "a model store, a directory with ckpt-0/, or demo");
        var verb = new Verb("inspect", "Tell what a model is: geometry, formats, sizes, what is held.",
            "grok1 inspect demo", "grok1 inspect /data/grok-1 --json") { path };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var inspection = StoreInspection.Of(context.LocateModel(context.Get(path)!));
            if (context.Output.Json)
                context.Output.WriteJson(inspection);
            else
                Write(context, StoreInspectionTable.Rows(inspection));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static void Write(VerbContext context, IReadOnlyList<(string Label, string Value)> rows)
    {
        var width = rows.Max(row => row.Label.Length);
        foreach (var (label, value) in rows)
            context.Output.WriteLine($"{label.PadRight(width)}  {value}");
    }
}
