"""Options of the index command that do not go together."""

import pytest

from agem_tf import cli, index
from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import storage_at


def options_of(*flags):
    commands = {
        "add": index.AddOptions,
        "sync": index.SyncOptions,
        "watch": index.WatchOptions,
        "remove": index.RemoveOptions,
    }
    return cli.options_from_arguments(
        index.IndexOptions, commands, ["index", *flags]
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("", "one of --photos=DIR, --descriptors=DIR, --sync, --remove=NAME"),
        ("--photos=p --descriptors=d", "Give one of"),
        ("--add", "Give one of --photos=DIR and --descriptors=DIR"),
        ("--photos=p --remove=n", "--photos does not go with --remove"),
        ("--remove=n --add", "--remove does not go with --add"),
        ("--remove=n --factory=Flat", "--factory does not go with --remove"),
        ("--remove=n --skip_bad", "--skip_bad does not go with --remove"),
        ("--photos=p --add --dimension=8", "--dimension does not go with"),
        ("--photos=p --add --workdir=run", "--workdir does not go with --add"),
        ("--photos=p --add --overwrite", "--overwrite does not go with --add"),
        ("--sync --descriptors=d", "--descriptors does not go with --sync"),
        ("--sync --overwrite", "--overwrite does not go with --sync"),
        ("--descriptors=d --scales=1", "--scales is for --photos"),
        ("--descriptors=d --image_size=64", "--image_size is for --photos"),
        ("--photos=p --skip_bad --max_bad=5", "leave one out"),
        ("--sync --skip_bad --max_bad=5", "leave one out"),
        ("--descriptors=d --add --skip_bad", "--skip_bad is for --photos"),
        ("--sync --shard=1/2", "--shard does not go with --sync"),
        ("--photos=p --add --shard=1/2", "--shard does not go with --add"),
        ("--remove=n --ray=local", "--ray does not go with --remove"),
        ("--watch --shard=1/2", "--shard does not go with --watch"),
        ("--descriptors=d --shard=1/2", "Shards are for --photos"),
        ("--photos=p --shard=1/2 --exif", "for the command that makes"),
        ("--descriptors=d --max_bad=5", "--max_bad is for --photos"),
    ],
)
def test_flags_without_effect_are_refused(flags, sentence):
    with pytest.raises(UserError, match=sentence):
        options_of("--index=i", *flags.split())


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--image_size=0", "--image_size must be at least 32, not 0"),
        ("--scales=0", r"--scales must be positive, not \(0.0,\)"),
        ("--dimension=0", "--dimension must be at least 1, not 0"),
    ],
)
def test_values_out_of_bounds_are_refused(flag, sentence):
    with pytest.raises(UserError, match=sentence):
        options_of("--index=i", "--photos=p", flag)


def test_parameters_of_milvus_are_not_for_a_directory(tmp_path):
    storage = storage_at(str(tmp_path / "photos.index"))
    for factory in ("exact:partition=place", "HNSW:M=32"):
        with pytest.raises(UserError, match=f"for Milvus.*={factory}"):
            storage.check(factory, 16, 300)


def test_an_existing_index_is_only_replaced_on_demand(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="--add adds to it, --overwrite"):
        index.main(options_of(f"--index={tmp_path}", "--photos=p"))
    with pytest.raises(UserError, match="No folder at p"):
        index.main(
            options_of(f"--index={tmp_path}", "--photos=p", "--overwrite")
        )


def test_metadata_have_the_field_that_partitions_the_index(tmp_path):
    (tmp_path / "places.csv").write_text("photo,place,year\na.jpg,Rome,2020\n")
    flags = (
        f"--index=milvus:{tmp_path}/photos.db --photos=p "
        f"--metadata={tmp_path}/places.csv"
    ).split()
    with pytest.raises(UserError, match="no field 'palce' .* has place, year"):
        index.main(options_of(*flags, "--factory=exact:partition=palce"))
    for further in (["place"], ["date", "--exif"]):
        flags_of_field = f"--factory=exact:partition={' '.join(further)}"
        with pytest.raises(UserError, match="No folder at p"):
            index.main(options_of(*flags, *flags_of_field.split()))


def test_shards_of_an_index_in_milvus_need_a_directory():
    flags = "--index=milvus:photos.db --photos=p --shard=1/2".split()
    with pytest.raises(UserError, match="with Milvus need --shards=DIR"):
        cli.options_from_arguments(index.IndexOptions, {}, ["index", *flags])
    cli.options_from_arguments(
        index.IndexOptions, {}, ["index", *flags, "--shards=d"]
    )
