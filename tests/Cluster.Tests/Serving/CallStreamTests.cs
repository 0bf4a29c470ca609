using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>What a worker keeps for one coordinator.</summary>
public sealed class CallStreamTests
{
    [Theory]
    [InlineData(10, 30 << 20)]
    [InlineData(1000, 0)]
    public void A_coordinator_that_reads_no_answers_is_not_read_on_however_it_sends_its_calls(int calls, int answerBytes)
    {
        using var ended = new CancellationTokenSource();
        var stream = new CallStream(new NoReader(), new FramePool<ResultFrame>(0), ended.Token);
        for (var id = 1UL; id <= (ulong)calls; id++)
        {
            // One after the other, so that none is open while the next is read.
            var request = new ExpertRequest();
            request.Frame.Id = id;
            Assert.True(stream.TryOpen(request));
            var answer = new ResultFrame { Id = id, Reason = answerBytes > 0 ? CallFailure.Types.Reason.Unspecified : CallFailure.Types.Reason.Invalid };
            answer.Resize(answerBytes);
            stream.Close(request, answer);
            if (!stream.WaitForRoomAsync().IsCompleted)
                return;
        }
        Assert.Fail($"{calls} answers of {answerBytes} bytes are kept for a coordinator that reads none");
    }

    /// <summary>Never takes a message.</summary>
    private sealed class NoReader : IMessageWriter<ResultFrame>
    {
        public ValueTask WriteAsync(ResultFrame message, CancellationToken cancellationToken) => new(Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken));
    }
}
