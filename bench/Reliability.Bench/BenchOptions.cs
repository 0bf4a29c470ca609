using System.Globalization;

namespace Grok1Cluster.Reliability.Bench;

/// <summary>What the bench was asked for.</summary>
internal sealed record BenchOptions
{
    /// <summary>How to ask; the names of the rows follow it.</summary>
    public const string Help = """
        What happens to streams when something happens to the cluster: the rows of docs/reliability.md, or a soak.

          dotnet run -c Release --project bench/Reliability.Bench -- [options]

          --fault NAME[,NAME...]      these rows alone (default: all)
          --repeat N                  runs of each row (default: 30)
          --program FILE              grok1 to measure, such as that of publish.sh (default: the Release build)
          --model DIR|demo            of the rows about faults, and of the soak (default: demo)
          --tokens N                  of a request (default: 100)
          --json FILE                 every run, written anew after each row
          --etcd-away TIME            of the row etcd-away (default: 60s)
          --operations-model DIR      of the rows about operations (default: 300 MB of random weights, made for this run)
          --transfer-limit SIZE       bytes a second that a worker fetches in an operation, as grok1 takes it (default: 8MB)
          --before TIME               of steady streams before an operation, which it is compared with, and after it (default: 5s)
          --soak TIME                 instead of rows: a random fault now and then, and a ledger of all requests
          --every TIME                between two faults of the soak (default: 10s)
          --seed N                    decides which (default: 1)
          --help                      this

        A TIME is 90s or 20m. Exit codes: 0 all as required, 1 not so or a row was not run, 2 a wrong option.
        """;

    public bool IsHelp { get; private init; }

    public IReadOnlyList<string> Faults { get; private init; } = [];

    public int Repeat { get; private init; } = 30;

    public string? Program { get; private init; }

    public string Model { get; private init; } = "demo";

    public int Tokens { get; private init; } = 100;

    public string? Json { get; private init; }

    public TimeSpan EtcdAway { get; private init; } = TimeSpan.FromSeconds(60);

    public string? OperationsModel { get; private init; }

    public string TransferLimit { get; private init; } = "8MB";

    public TimeSpan Before { get; private init; } = TimeSpan.FromSeconds(5);

    public TimeSpan? Soak { get; private init; }

    public TimeSpan Every { get; private init; } = TimeSpan.FromSeconds(10);

    public int Seed { get; private init; } = 1;

    /// <summary>Reads a command line.</summary>
    /// <exception cref="FormatException">It has something that is no option, or a value that cannot be; the message says which.</exception>
    public static BenchOptions Parse(IReadOnlyList<string> arguments)
    {
        var options = new BenchOptions();
        for (var i = 0; i < arguments.Count; i++)
        {
            var name = arguments[i];
            if (name is "--help" or "-h" or "-?")
            {
                options = options with { IsHelp = true };
                continue;
            }
            Func<string, BenchOptions> set = name switch
            {
                "--fault" => text => options with { Faults = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) },
                "--repeat" => text => options with { Repeat = Count(text) },
                "--program" => text => options with { Program = File.Exists(text) ? Path.GetFullPath(text) : throw new FormatException("there is no such file") },
                "--model" => text => options with { Model = text },
                "--tokens" => text => options with { Tokens = Count(text) },
                "--json" => text => options with { Json = text },
                "--etcd-away" => text => options with { EtcdAway = Time(text) },
                "--operations-model" => text => options with { OperationsModel = Directory.Exists(text) ? Path.GetFullPath(text) : throw new FormatException("there is no such directory") },
                "--transfer-limit" => text => options with { TransferLimit = text },
                "--before" => text => options with { Before = Time(text) },
                "--soak" => text => options with { Soak = Time(text) },
                "--every" => text => options with { Every = Time(text) },
                "--seed" => text => options with { Seed = Count(text) },
                _ => throw new FormatException($"{name}: there is no such option"),
            };
            if (++i == arguments.Count)
                throw new FormatException($"{name}: its value is missing");
            try
            {
                options = set(arguments[i]);
            }
            catch (FormatException e)
            {
                throw new FormatException($"{name} {arguments[i]}: {e.Message}", e);
            }
        }
        return options;
    }

    private static int Count(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : throw new FormatException("a number from 1 was expected");

    private static TimeSpan Time(string text) =>
        text.Length > 1 && text[^1] is 's' or 'm' && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number > 0
            ? number * (text[^1] == 'm' ? TimeSpan.FromMinutes(1) : TimeSpan.FromSeconds(1))
            : throw new FormatException("a time such as 90s or 20m was expected");
}
