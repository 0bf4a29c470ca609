using Grok1Cluster.Cluster.Wire;

namespace Grok1Cluster.Cluster.Tests.Wire;

public class ProtocolTests
{
    [Theory]
    [InlineData(0, false)] // the first version, two before, did not say it
    [InlineData(ExpertMethods.Protocol - 1, true)]
    [InlineData(ExpertMethods.Protocol, true)]
    [InlineData(ExpertMethods.Protocol + 1, true)]
    [InlineData(ExpertMethods.Protocol + 2, false)]
    [InlineData(uint.MaxValue, false)]
    public void A_worker_may_be_one_version_of_the_protocol_older_or_newer(uint protocol, bool usable) => Assert.Equal(usable, ExpertMethods.IsCompatible(protocol));
}
