using System.Text;
using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Operations;
using Grok1Cluster.Coordinator.Operations;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Tests.Operations;

public sealed class OperationStreamTests
{
    [Fact]
    public async Task Whatever_fails_after_the_first_step_is_told_in_the_last_line()
    {
        var context = new DefaultHttpContext();
        using var body = new MemoryStream();
        context.Response.Body = body;
        await new OperationStream(context).RunAsync(progress =>
        {
            progress(new OperationProgress("move", OperationPhase.Holding));
            throw new IOException("the disk is on fire");
        });
        var lines = Encoding.UTF8.GetString(body.ToArray()).TrimEnd().Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.Equal("holding", JsonElement.Parse(lines[0]).GetProperty("phase").GetString());
        Assert.Equal("the disk is on fire", JsonElement.Parse(lines[1]).GetProperty("error").GetProperty("message").GetString());
    }
}
