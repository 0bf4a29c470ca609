using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Membership.Etcd;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>An etcd that asks who is calling.</summary>
public sealed class EtcdUserTests(ModelFixture models) : IClassFixture<ModelFixture>, IDisposable
{
    private const string Name = "grok1";

    private readonly string _passwords = Directory.CreateTempSubdirectory("grok1-passwords-").FullName;

    [EtcdFact]
    public async Task A_user_with_its_password_registers_watches_and_changes_the_plan_also_when_etcd_has_forgotten_the_token()
    {
        await using var server = await StartAsync();
        await using var cluster = Cluster(server, "secret");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await cluster.WorkerAsync("worker-0");
        await coordinator.UntilWorkersAsync("worker-0");
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(1), null, CancellationToken.None));

        // Tokens of this kind do not outlive the process that gave them, and users that change make all of them old.
        await server.KillAsync();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);
        await server.RestartAsync();
        await coordinator.UntilAsync(() => coordinator.IsConnected);
        await server.AddUserAsync("somebody", "else");
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(2), coordinator.Plan, CancellationToken.None));
        await using (await coordinator.LockAsync("drain", CancellationToken.None))
            Assert.NotNull(await server.GetAsync(cluster.Key("lock")));
        await cluster.WorkerAsync("worker-1");
        await coordinator.UntilWorkersAsync("worker-0", "worker-1");
    }

    [EtcdFact]
    public async Task A_token_that_ended_is_exchanged_and_leases_and_watches_go_on()
    {
        await using var server = await StartAsync(tokenSeconds: 1);
        await using var cluster = Cluster(server, "secret");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        var user = cluster.Options.User!;
        var token = user.Token;
        Assert.NotNull(token);
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(1), null, CancellationToken.None));
        // Leases are renewed without a look at it, so it is not used and ends.
        await server.UntilLineAsync(line => line.Contains("deleted a simple token", StringComparison.Ordinal) && line.Contains(token, StringComparison.Ordinal));
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(2), coordinator.Plan, CancellationToken.None));
        Assert.NotEqual(token, user.Token);
        await cluster.WorkerAsync("worker-0");
        await coordinator.UntilWorkersAsync("worker-0");
        Assert.DoesNotContain(cluster.Notes, note => note.Contains("is away", StringComparison.Ordinal));
    }

    [EtcdFact]
    public async Task A_wrong_password_a_missing_user_and_a_user_without_a_role_end_a_start_with_a_line_of_their_own()
    {
        await using var server = await StartAsync();
        await server.AddUserAsync("guest", "secret");
        await using var wrong = Cluster(server, "wrong");
        Assert.Contains($"etcd at {server.Address} does not take user grok1 with the password given", (await DenialAsync(wrong.Options)).Message);
        Assert.Contains($"etcd at {server.Address} asks who is calling", (await DenialAsync(wrong.Options with { User = null })).Message);
        var guest = await DenialAsync(wrong.Options with { User = EtcdUser.OfFile("guest", Password("secret")) });
        Assert.Contains($"does not let user guest read and write below /grok1/{wrong.Options.Cluster}/", guest.Message);

        var worker = await Grok1Process.RunAsync("worker", "--model", models.Golden("tiny-b"), "--listen", "127.0.0.1:0", "--etcd", server.Address,
            "--etcd-user", Name, "--etcd-password-file", Password("wrong"));
        Assert.Equal(6, worker.ExitCode);
        Assert.Contains("correct --etcd-user or --etcd-password-file", Assert.Single(worker.Error.Split('\n'), line => line.Contains("does not take user grok1", StringComparison.Ordinal)));
    }

    [EtcdFact]
    public async Task A_password_that_is_exchanged_while_processes_run_is_read_from_the_file_again()
    {
        await using var server = await StartAsync();
        await using var cluster = Cluster(server, "secret");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await server.ChangePasswordAsync(Name, "another");
        var lost = server.KillAsync();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);
        await lost;
        await server.RestartAsync();
        await cluster.UntilNotedAsync(note => note.Contains("does not take user grok1", StringComparison.Ordinal));
        Password("another");
        await coordinator.UntilAsync(() => coordinator.IsConnected);
    }

    [EtcdFact]
    public async Task An_etcd_that_begins_to_ask_for_users_while_processes_run_is_told_who_they_are()
    {
        await using var server = await EtcdServer.StartAsync(tls: null, flags: ["--bcrypt-cost", "4"]);
        await using var cluster = Cluster(server, "secret");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await server.AskForUsersAsync(Name, "secret", "/grok1/");
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(1), null, CancellationToken.None));
        await cluster.WorkerAsync("worker-0");
        await coordinator.UntilWorkersAsync("worker-0");
    }

    [Theory]
    [InlineData("--etcd-user: its password is missing", "--etcd-user", "grok1")]
    [InlineData("--etcd-password-file: it is the password of --etcd-user, which is missing", "--etcd-password-file", "some")]
    [InlineData("the password of etcd's user grok1 cannot be read", "--etcd-user", "grok1", "--etcd-password-file", "no-such-file")]
    public async Task Flags_that_name_no_user_or_no_password_are_refused(string problem, params string[] flags)
    {
        var result = await Grok1Process.RunAsync(["worker", "--model", models.Golden("tiny-b"), "--etcd", "127.0.0.1:1", .. flags]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(problem, result.Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("two\nlines")]
    [InlineData("a\tb")]
    [InlineData(null)]
    public void A_file_that_has_no_password_is_refused_without_a_word_of_what_it_has(string? text)
    {
        var refusal = Assert.Throws<CredentialsException>(() => EtcdUser.OfFile(Name, Password(text ?? new string('x', 1025))));
        Assert.EndsWith("has no password of etcd's user grok1: it is one line of at most 1024 bytes", refusal.Message);
    }

    public void Dispose() => Directory.Delete(_passwords, recursive: true);

    private static async Task<EtcdServer> StartAsync(int tokenSeconds = 300)
    {
        var server = await EtcdServer.StartAsync(tls: null, flags: ["--bcrypt-cost", "4", "--auth-token-ttl", $"{tokenSeconds}"]);
        await server.AskForUsersAsync(Name, "secret", "/grok1/");
        return server;
    }

    private EtcdCluster Cluster(EtcdServer server, string password)
    {
        var cluster = new EtcdCluster(server.Address);
        return new EtcdCluster(server.Address) { Options = cluster.Options with { User = EtcdUser.OfFile(Name, Password(password)) } };
    }

    private string Password(string text)
    {
        var file = Path.Combine(_passwords, "password");
        File.WriteAllText(file, text);
        return file;
    }

    private static Task<MembershipDeniedException> DenialAsync(EtcdOptions options) => Assert.ThrowsAsync<MembershipDeniedException>(() =>
        EtcdRegistration.CheckAsync(options, "worker-0", CancellationToken.None));
}
