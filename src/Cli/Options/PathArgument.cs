using System.CommandLine;

namespace Grok1Cluster.Cli.Options;

/// <summary>A path that must be given.</summary>
internal sealed class PathArgument : Argument<string>
{
    public PathArgument(string name, string description) : base(name)
    {
        Description = description;
        Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: "" }, ..])
                result.AddError($"{name} is empty");
        });
    }
}
