using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tests.Checkpoints;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Catalog;

public sealed class ModelCatalogTests : IDisposable
{
    private readonly TemporaryCheckpoint _source = new();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("catalog-");
    private readonly List<string> _notes = [];

    private string Cache => Path.Combine(_folder.FullName, "cache");

    private static string Demo => Path.Combine(Repository.Root, "models", "demo");

    private ModelPlaces Places => new(Demo, Cache);

    private ModelCatalog Catalog => new(Places, Note, progress: null);

    public void Dispose()
    {
        _source.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Demo_and_a_store_are_where_they_are()
    {
        Assert.Equal(Demo, Catalog.FindStore("demo", CancellationToken.None));
        Assert.Equal(Demo, Catalog.FindStore(Demo + "/", CancellationToken.None));
        Assert.False(Directory.Exists(Cache));
        Assert.Empty(_notes);
    }

    [Fact]
    public void The_demo_model_is_found_above_the_program() => Assert.Equal(Demo, ModelPlaces.FromEnvironment().Demo);

    [Fact]
    public void A_source_is_imported_once_under_its_own_name_and_nothing_is_written_beside_it()
    {
        var before = Directory.GetFileSystemEntries(_source.Path);
        var store = Catalog.FindStore(_source.Path, CancellationToken.None);
        Assert.StartsWith(Cache, store);
        Assert.Equal(Path.GetFileName(_source.Path), Path.GetFileName(store));
        Assert.Equal([$"importing {_source.Path} to {store} (once)"], _notes);

        Assert.Equal(store, Catalog.FindStore(_source.Path, CancellationToken.None));
        Assert.Single(_notes);
        Assert.Equal(before, Directory.GetFileSystemEntries(_source.Path));
        using var opened = ModelStore.Open(store);
        Assert.Equal(96, opened.Config.EmbeddingDim);
    }

    [Fact]
    public void The_folder_of_tensors_itself_has_the_name_of_the_one_above() =>
        Assert.Equal(Path.GetFileName(_source.Path), Path.GetFileName(Catalog.FindStore(_source.Tensors, CancellationToken.None)));

    [Fact]
    public void A_source_that_changed_is_imported_again()
    {
        var first = Catalog.FindStore(_source.Path, CancellationToken.None);
        File.SetLastWriteTimeUtc(_source.Tensor(3), DateTime.UnixEpoch);
        Assert.NotEqual(first, Catalog.FindStore(_source.Path, CancellationToken.None));
    }

    [Fact]
    public async Task Several_at_once_import_once()
    {
        var stores = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => Catalog.FindStore(_source.Path, CancellationToken.None))));
        Assert.Single(stores.Distinct());
        Assert.Single(_notes, note => note.StartsWith("importing "));
        using var opened = ModelStore.Open(stores[0]);
    }

    [Fact]
    public async Task Whoever_waits_for_another_import_can_be_cancelled()
    {
        var store = Catalog.FindStore(_source.Path, CancellationToken.None);
        Directory.Delete(store, recursive: true);
        using var held = new FileStream(Path.Combine(Path.GetDirectoryName(store)!, "import.lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        using var cancel = new CancellationTokenSource();
        var waiting = new TaskCompletionSource();
        var catalog = new ModelCatalog(Places, note => waiting.TrySetResult(), progress: null);
        var find = Task.Run(() => catalog.FindStore(_source.Path, cancel.Token));
        await waiting.Task;
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => find);
    }

    [Fact]
    public void For_a_store_that_is_too_large_the_command_to_type_is_given()
    {
        var catalog = new ModelCatalog(Places with { MaxCachedBytes = 100_000 }, Note, progress: null);
        var error = Assert.Throws<ModelException>(() => catalog.FindStore(_source.Path, CancellationToken.None));
        Assert.EndsWith($"grok1 import {_source.Path} {Path.GetFileName(_source.Path)}-store", error.Message);
        Assert.False(Directory.Exists(Cache));
    }

    [Fact]
    public void A_path_in_a_command_to_type_is_quoted_for_the_shell()
    {
        var odd = Path.Combine(_folder.FullName, "it's a model");
        Directory.Move(_source.Path, odd);
        try
        {
            var catalog = new ModelCatalog(Places with { MaxCachedBytes = 0 }, Note, progress: null);
            var error = Assert.Throws<ModelException>(() => catalog.FindStore(odd, CancellationToken.None));
            Assert.EndsWith($"grok1 import '{_folder.FullName}/it'\\''s a model' 'it'\\''s a model-store'", error.Message);
        }
        finally
        {
            Directory.Move(odd, _source.Path);
        }
    }

    [Fact]
    public void A_cache_that_cannot_be_written_names_a_way_out()
    {
        File.WriteAllText(Cache, "a file where the directory should be");
        var error = Assert.Throws<IOException>(() => Catalog.FindStore(_source.Path, CancellationToken.None));
        Assert.Contains("XDG_CACHE_HOME", error.Message);
        Assert.Contains($"grok1 import {_source.Path}", error.Message);
    }

    [Theory]
    [InlineData("/no/such/model")]
    [InlineData("")]
    [InlineData("tests")]
    public void No_model_is_refused(string model) =>
        Assert.Contains("no model here", Assert.Throws<ModelException>(() => Catalog.FindStore(model, CancellationToken.None)).Message);

    [Fact]
    public void An_installation_without_the_demo_model_says_how_to_name_one()
    {
        var catalog = new ModelCatalog(new ModelPlaces(null, Cache), Note, progress: null);
        Assert.Contains("GROK1_DEMO_MODEL", Assert.Throws<ModelException>(() => catalog.FindStore("demo", CancellationToken.None)).Message);
    }

    private void Note(string line)
    {
        lock (_notes)
            _notes.Add(line);
    }
}
