using System.Text;
using System.Threading.Channels;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Coordinator.Tests.Support;
using Microsoft.AspNetCore.Http;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Tests.Generation;

public class EventStreamTests
{
    [Fact]
    public async Task While_nothing_happens_a_comment_goes_out_every_ten_seconds()
    {
        var time = new ManualTime();
        var body = new MemoryStream();
        var events = Channel.CreateUnbounded<ChoiceEvent>();
        var context = new DefaultHttpContext { Response = { Body = body } };
        var sending = new EventStream(context, EventStream.KeepAlive, time).SendAsync(events.Reader, static _ => [new { token = 1 }], static () => null);
        for (var i = 0; i < 2; i++)
            (await time.NextTimerAsync(TimeSpan.FromSeconds(10)))();
        await time.NextTimerAsync(TimeSpan.FromSeconds(10));
        events.Writer.TryWrite(new PromptEvent(0, [], []));
        events.Writer.Complete();
        await sending;
        Assert.Equal(": keep-alive\n\n: keep-alive\n\ndata: {\"token\":1}\n\ndata: [DONE]\n\n", Encoding.UTF8.GetString(body.ToArray()));
    }

    [Fact]
    public async Task A_failure_in_mid_stream_is_an_event_and_then_the_stream_ends()
    {
        // So long that it is under way when the engine ends.
        var folder = Directory.CreateTempSubdirectory("grok1-long-").FullName;
        var model = Path.Combine(folder, "model");
        StoreBuilder.Synthesise(new Grok1Config
        {
            EmbeddingDim = 64, FeedForwardDim = 256, LayerCount = 4, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32, VocabularySize = 128,
            EmbeddingMultiplier = 8, AttentionMultiplier = 0.1767767f, MaxSequenceLength = 200_000,
        }, seed: 1, model, new StoreBuildOptions(), null, CancellationToken.None);
        try
        {
            await using var server = await TestServer.StartAsync(model: model, kvMemory: 256 << 20);
            var events = await server.StreamAsync("/v1/completions", """{"prompt":[5],"max_tokens":190000,"ignore_eos":true,"stream":true}""", count =>
            {
                if (count == 5)
                    server.Engine.Dispose();
            });
            Assert.True(events.Count > 5);
            Assert.All(events.SkipLast(1), item => Assert.True(item.TryGetProperty("choices", out _)));
            var error = events[^1].GetProperty("error");
            Assert.Contains("the server is stopping", error.GetProperty("message").GetString());
            Assert.Equal("server_error", error.GetProperty("type").GetString());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Timers that fire when the test says so.</summary>
    private sealed class ManualTime : TimeProvider
    {
        private readonly Channel<(TimeSpan Due, Action Fire)> _timers = Channel.CreateUnbounded<(TimeSpan, Action)>();

        public async Task<Action> NextTimerAsync(TimeSpan expected)
        {
            var (due, fire) = await _timers.Reader.ReadAsync();
            Assert.Equal(expected, due);
            return fire;
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _timers.Writer.TryWrite((dueTime, () => callback(state)));
            return new Timer();
        }

        private sealed class Timer : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
