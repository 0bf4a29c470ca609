using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Security.Enrolment;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.TestKit.Fuzzing;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>What comes over the wire or from a file of somebody else's is read or refused, whatever it is.</summary>
public sealed class ReaderFuzzTests
{
    [Fact]
    public void A_call_is_read_or_refused_in_bounded_memory_and_the_next_is_read()
    {
        var frame = new CallFrame();
        new FuzzRun { Reader = "call", Inputs = 20_000, Refuses = static fault => fault is FormatException }.Check(bytes =>
        {
            frame.ReadFrom(bytes);
            for (var bundle = 0; bundle < frame.BundleCount; bundle++)
                frame.BundleTiles(bundle);
        });
    }

    [Fact]
    public void A_result_is_read_or_refused_in_bounded_memory_and_the_next_is_read()
    {
        var frame = new ResultFrame();
        new FuzzRun { Reader = "result", Inputs = 20_000, Refuses = static fault => fault is FormatException }.Check(bytes => frame.ReadFrom(bytes));
    }

    [Fact]
    public void A_plan_is_read_or_refused_in_bounded_memory()
    {
        var geometry = new PlanGeometry("store", 2, 4, 256, 32);
        new FuzzRun { Reader = "plan", Inputs = 4000, Refuses = static fault => fault is PlanException, AllocationFactor = 200 }.Check(bytes =>
            PlanJson.Read(bytes, geometry, "fuzz.json"));
    }

    [Fact]
    public void The_names_in_a_certificate_of_anybody_are_read_or_passed_over() =>
        new FuzzRun { Reader = "certificate", Inputs = 4000, Refuses = static fault => fault is CryptographicException }.Check(bytes =>
        {
            using var certificate = X509CertificateLoader.LoadCertificate(bytes);
            var names = CertificateNames.Of(certificate);
            Assert.True(names.Identity is null || NodeIdentity.IsId(names.Identity.Id));
        });

    [Fact]
    public void A_list_of_revoked_nodes_is_read_or_refused_in_bounded_memory() =>
        new FuzzRun { Reader = "revoked", Inputs = 4000, Refuses = static fault => fault is CredentialsException, AllocationFactor = 40 }.Check(bytes =>
            RevocationList.Parse(Encoding.UTF8.GetString(bytes), "fuzz"));

    [Fact]
    public void A_signing_request_gives_a_p256_key_or_nothing() =>
        new FuzzRun { Reader = "signing-request", Inputs = 3000, Refuses = static fault => fault is FormatException }.Check(bytes =>
        {
            if (!EnrolmentServer.TryReadKey(bytes, out var key))
                throw new FormatException();
            using var point = key.GetECDsaPublicKey();
            Assert.Equal(256, point!.KeySize);
        });

    [Fact]
    public void A_bundle_is_read_or_refused_in_bounded_memory() =>
        new FuzzRun { Reader = "pem", Inputs = 3000, Refuses = static fault => fault is CredentialsException, AllocationFactor = 200 }.Check(bytes =>
        {
            foreach (var certificate in PemFiles.ParseBundle(Encoding.UTF8.GetString(bytes), "fuzz"))
                certificate.Dispose();
        });

    [Fact]
    public void A_key_pair_is_read_or_refused_in_bounded_memory()
    {
        using var authority = new TestAuthority();
        // The key is made here: a committed one would be taken for a lost one.
        var sound = File.ReadAllBytes(Path.Combine(authority.Coordinator, NodeDirectory.KeyPairName));
        new FuzzRun { Reader = "pem", Inputs = 3000, Refuses = static fault => fault is CredentialsException, AllocationFactor = 200, Sound = [sound], SoundNames = false }.Check(bytes =>
            PemFiles.ParseKeyPair(Encoding.UTF8.GetString(bytes), "fuzz").Dispose());
    }

    [Fact]
    public void A_token_is_read_or_refused_in_bounded_memory() =>
        new FuzzRun { Reader = "token", Inputs = 5000, Refuses = static fault => fault is FormatException }.Check(bytes =>
        {
            var text = Encoding.UTF8.GetString(bytes);
            if (!JoinToken.TryParse(text, out var token))
                throw new FormatException();
            Assert.Equal(text, token.Text());
        });}
