"""Make an index of photos, keep it up to date, add to it or remove from it.

    python -m agem_tf.index --photos=photos --index=photos.index
    python -m agem_tf.index --sync --index=photos.index
    python -m agem_tf.index --watch --index=photos.index
    python -m agem_tf.index --photos=more --index=photos.index --add
    python -m agem_tf.index --remove='beach/*.png' --index=photos.index
    python -m agem_tf.index --annotate --metadata=dates.csv --index=photos.index

The folder may have any structure, and no training is needed:
EfficientNet-lite2 with ImageNet weights extracts the descriptors, the best
model of a --workdir, or a --preset. --index=milvus:photos.db uses Milvus Lite,
--index=milvus:http://host:19530 a server. A descriptor set can be indexed
instead of photos (--descriptors).

Photos that can't be read are left out and listed in the index; with more than
--max_bad percent of them the exit status is 3. An interrupted command, given
again, resumes.
"""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import sys
from collections.abc import Sequence

from agem_tf import cli
from agem_tf.config.shared_options import ScaleOptions, ShardOptions
from agem_tf.errors import UserError

annotating = cli.lazy("agem_tf.library.annotating")
engines = cli.lazy("agem_tf.distribution.engines")
index_change = cli.lazy("agem_tf.library.index_change")
indexing = cli.lazy("agem_tf.library.indexing")
portions = cli.lazy("agem_tf.files.portions")
synchronization = cli.lazy("agem_tf.library.synchronization")
watching = cli.lazy("agem_tf.library.watching")
storages = cli.lazy("agem_tf.retrieval.indexes")

_INDEX = "Directory of the index, or milvus:ADDRESS."
_PHOTOS = "Folder of the photos."
_DESCRIPTORS = "Descriptor set to index instead of photos."
_SKIP_BAD = "Exit with status 0 however many photos can't be read."
_MAX_BAD = "Percent of unreadable photos above which the exit status is 3."
_METADATA = "Metadata to add: CSV or JSON lines (.jsonl) with a column photo."
_EXIF = "Read date and position of the photos' EXIF as metadata."
_MODEL = "For Milvus: directory of the SavedModel."
_DEFAULT_MAX_BAD = 1.0


class _Change:
    """Values of the options that a way to change an index does not have."""

    model = None
    metadata = None
    exif = False
    skip_bad = True
    factory = "exact"


@cli.options
class IndexOptions(ScaleOptions, ShardOptions, _Change):
    """Options for making an index."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, _PHOTOS)
    descriptors: str | None = cli.option(None, _DESCRIPTORS)
    overwrite: bool = cli.option(False, "Replace an existing index.")
    metadata: str | None = cli.option(None, _METADATA)
    exif: bool = cli.option(False, _EXIF)
    skip_bad: bool = cli.option(False, _SKIP_BAD)
    max_bad: float = cli.option(_DEFAULT_MAX_BAD, _MAX_BAD, minimum=0)
    factory: str = cli.option(
        "exact", "Kind of index: exact, or FAISS's HNSW32, IVF256,SQ8, ..."
    )
    workdir: str | None = cli.option(
        None, "Training run whose best model extracts the descriptors."
    )
    preset: str | None = cli.option(
        None,
        "Preset that extracts the descriptors: a directory, "
        "hf://USER/REPOSITORY, or the name of a network.",
    )
    whitening: str | None = cli.option(None, "Whitening to apply.")
    dimension: int | None = cli.option(
        None, "Dimensions to keep, by the whitening or by a PCA.", minimum=1
    )
    model: str | None = cli.option(None, _MODEL)
    shards: str | None = cli.option(
        None, "Directory of these parts; default: that of the index + .shards."
    )

    @property
    def shards_directory(self) -> str | None:
        """Directory of the parts; None for Milvus without --shards."""
        if self.shards or self.index.startswith("milvus:"):
            return self.shards
        return self.index.rstrip("/") + ".shards"

    def __post_init__(self) -> None:
        _check_source(
            self,
            "--photos=DIR, --descriptors=DIR, --sync, --remove=NAME",
            ("scales", "image_size", "preset", "exif", "skip_bad"),
        )
        ShardOptions.__post_init__(self)
        in_shards = self.shard or self.uses_engine
        if self.descriptors and (in_shards or self.shards):
            raise UserError("Shards are for --photos, not for --descriptors.")
        if in_shards and not self.shards_directory:
            raise UserError("Shards with Milvus need --shards=DIR.")
        if self.shard and (self.metadata or self.exif):
            raise UserError(
                "--metadata and --exif are for the command that makes the "
                "index, without --shard."
            )
        if self.preset and self.workdir:
            raise UserError(
                "--preset and --workdir both name the model; give one."
            )
        _check_bad(self)

    def apply(self, storage: storages.Storage) -> index_change.IndexChange:
        """Makes the index, or describes one shard of its photos."""
        if not self.shard:
            return _finish(storage, self, _create(storage, self))
        change = indexing.describe_portion(
            self.photos,
            self.shards_directory,
            portions.Portion.parse(self.shard),
            workdir=self.workdir,
            preset=self.preset,
            scales=self.scales,
            image_size=self.image_size,
        )
        cli.print_line(change.summary())
        cli.print_line(f"Shard {self.shard}: {self.shards_directory}")
        if not self.skip_bad:
            change.check_share(self.max_bad)
        return change


@cli.options
class AddOptions(_Change):
    """Add the photos or descriptors that the index lacks."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, _PHOTOS)
    descriptors: str | None = cli.option(None, _DESCRIPTORS)
    metadata: str | None = cli.option(None, _METADATA)
    exif: bool = cli.option(False, _EXIF)
    skip_bad: bool = cli.option(False, _SKIP_BAD)
    max_bad: float = cli.option(_DEFAULT_MAX_BAD, _MAX_BAD, minimum=0)
    model: str | None = cli.option(None, _MODEL)

    def __post_init__(self) -> None:
        _check_source(
            self, "--photos=DIR and --descriptors=DIR", ("exif", "skip_bad")
        )
        _check_bad(self)

    def apply(self, storage: storages.Storage) -> index_change.IndexChange:
        """Adds to the index."""
        if self.descriptors:
            change = indexing.add_descriptors(storage, self.descriptors)
        else:
            change = indexing.add_photos(storage, self.photos)
        return _finish(storage, self, change)


@cli.options
class SyncOptions(_Change):
    """Make the index hold what its folder holds now."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, "Folder of the photos, if it moved.")
    metadata: str | None = cli.option(None, _METADATA)
    exif: bool = cli.option(False, _EXIF)
    skip_bad: bool = cli.option(False, _SKIP_BAD)
    max_bad: float = cli.option(_DEFAULT_MAX_BAD, _MAX_BAD, minimum=0)

    def __post_init__(self) -> None:
        _check_bad(self)

    def apply(self, storage: storages.Storage) -> index_change.IndexChange:
        """Brings the index up to date."""
        change = synchronization.sync_photos(storage, self.photos)
        return _finish(storage, self, change)


@cli.options
class WatchOptions(_Change):
    """Keep the index in sync with its folder, until SIGTERM or Ctrl-C."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, "Folder of the photos, if it moved.")
    exif: bool = cli.option(False, _EXIF)
    quiet: float = cli.option(
        2.0,
        "Seconds without a change of the folder before the index follows.",
        minimum=0,
    )
    interval: float = cli.option(
        600.0,
        "Seconds after which the folder is compared in any case; file servers "
        "may not report changes.",
        above=0,
    )

    def apply(self, storage: storages.Storage) -> None:
        """Follows the folder."""

        def report(change: index_change.IndexChange) -> None:
            cli.print_line(change.summary())
            if self.exif and change.names:
                try:
                    _annotate(storage, self, change.names)
                except (UserError, OSError) as error:
                    # The photos are in the index; no other change is missed.
                    cli.print_line(
                        f"EXIF was not read; give --annotate --exif. {error}"
                    )
            # A log should have the lines at once.
            sys.stdout.flush()

        def end(*signal_and_frame: object) -> None:
            # Unwinds: a change that is under way leaves the index as it was,
            # and finished descriptors are kept for the next command.
            sys.exit(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        watching.watch_photos(
            storage,
            self.photos,
            report=report,
            quiet=self.quiet,
            interval=self.interval,
        )


@cli.options
class RemoveOptions(_Change):
    """Remove photos from the index."""

    index: str = cli.required(_INDEX)
    remove: tuple[str, ...] = cli.required(
        "Photo to remove, named as searches print it; a folder or a pattern."
    )
    model: str | None = cli.option(None, _MODEL)

    def apply(self, storage: storages.Storage) -> index_change.IndexChange:
        """Removes the photos."""
        change = indexing.remove_photos(storage, self.remove)
        return _finish(storage, self, change)


@cli.options
class AnnotateOptions(_Change):
    """Change only the metadata of the indexed photos."""

    index: str = cli.required(_INDEX)
    metadata: str | None = cli.option(None, _METADATA)
    exif: bool = cli.option(False, _EXIF)

    def __post_init__(self) -> None:
        if not (self.metadata or self.exif):
            raise UserError("--annotate needs --metadata=FILE or --exif.")

    def apply(self, storage: storages.Storage) -> index_change.IndexChange:
        """Annotates all photos."""
        _annotate(storage, self, names=None)
        cli.print_line(f"Index: {self.index}")
        return index_change.IndexChange()


def main(
    options: IndexOptions
    | AddOptions
    | SyncOptions
    | WatchOptions
    | RemoveOptions
    | AnnotateOptions,
) -> index_change.IndexChange | None:
    """Makes or changes an index, and prints how many photos changed.

    With --watch it returns only if SIGTERM or Ctrl-C ends it.

    Raises:
        UserError: options do not go together, or what is indexed is at fault.
        PartialResultError: more than `max_bad` percent of the photos can't be
            read; the index holds the others.
    """
    storage = storages.storage_at(options.index, options.model)
    if options.metadata:
        field = storage.partition_field(options.factory)
        # EXIF may give the field, too.
        annotating.check_annotation(
            options.metadata, None if options.exif else field
        )
    return options.apply(storage)


def _finish(
    storage: storages.Storage,
    options: _Change,
    change: index_change.IndexChange,
) -> index_change.IndexChange:
    """Annotates the changed photos, and prints what was done."""
    cli.print_line(change.summary())
    if options.metadata or options.exif:
        _annotate(storage, options, change.names)
    cli.print_line(f"Index: {options.index}")
    if not options.skip_bad:
        change.check_share(options.max_bad)
    return change


def _annotate(
    storage: storages.Storage, options: _Change, names: Sequence[str] | None
) -> None:
    annotation = annotating.annotate(
        storage, options.metadata, options.exif, names
    )
    cli.print_line(annotation.summary())


def _create(
    storage: storages.Storage, options: IndexOptions
) -> index_change.IndexChange:
    if storage.exists and not options.overwrite:
        raise UserError(
            f"There is an index at {options.index}; --sync updates it, --add "
            "adds to it, --overwrite replaces it."
        )
    if options.uses_engine:
        engines.run_portions(
            "agem_tf.index",
            # The index is judged by all photos, and annotated at the end.
            dataclasses.replace(
                options,
                skip_bad=True,
                max_bad=_DEFAULT_MAX_BAD,
                metadata=None,
                exif=False,
            ),
            pathlib.Path(options.shards_directory),
        )
    made = {
        "factory": options.factory,
        "workdir": options.workdir,
        "whitening": options.whitening,
        "dimension": options.dimension,
    }
    if options.descriptors:
        return indexing.index_descriptors(storage, options.descriptors, **made)
    if options.shards and not portions.portions_in(
        pathlib.Path(options.shards)
    ):
        raise UserError(
            f"There are no shards in {options.shards}; describe them with "
            "--shard, or omit --shards."
        )
    return indexing.index_photos(
        storage,
        options.photos,
        scales=options.scales,
        image_size=options.image_size,
        shards=options.shards_directory,
        preset=options.preset,
        **made,
    )


def _check_source(
    options: IndexOptions | AddOptions, sources: str, for_photos: Sequence[str]
) -> None:
    """Checks that either photos or descriptors are indexed.

    Args:
        options: options to check.
        sources: flags of which one must be given.
        for_photos: options that descriptors do not have.
    """
    if bool(options.photos) == bool(options.descriptors):
        raise UserError(f"Give one of {sources}.")
    given = [name for name in for_photos if getattr(options, name)]
    if options.max_bad != _DEFAULT_MAX_BAD:
        given.append("max_bad")
    if options.descriptors and given:
        raise UserError(f"--{given[0]} is for --photos; leave it out.")


def _check_bad(options: IndexOptions | AddOptions | SyncOptions) -> None:
    """Checks that one of two limits of unreadable photos is given."""
    if options.skip_bad and options.max_bad != _DEFAULT_MAX_BAD:
        raise UserError(
            "--skip_bad accepts any number of unreadable photos, --max_bad a "
            "share; leave one out."
        )


if __name__ == "__main__":
    cli.run(
        main,
        IndexOptions,
        add=AddOptions,
        sync=SyncOptions,
        watch=WatchOptions,
        remove=RemoveOptions,
        annotate=AnnotateOptions,
    )
