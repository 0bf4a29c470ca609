using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Model.Store;
using Spectre.Console;

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
                context.Output.Write(Table(inspection));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static Grid Table(StoreInspection inspection)
    {
        var grid = new Grid().AddColumns(2);
        foreach (var (label, value) in StoreInspectionTable.Rows(inspection))
            grid.AddRow(new Text(label), new Text(value));
        return grid;
    }
}
