r"""Extract descriptors of a dataset's split with a trained model.

    python -m agem_tf.extract --workdir=runs/quickstart --split=test \
        --output=descriptors/test

Several --scales are merged into one descriptor per photo. With --queries, the
queries of the ground truth are extracted, cropped to their boxes. The same
command resumes an interrupted extraction. SIGTERM ends it with status 75.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.config.shared_options import DeviceOptions, ScaleOptions
from agem_tf.distribution import preemption

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
preflight = cli.lazy("agem_tf.distribution.preflight")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")


@cli.options
class ExtractOptions(ScaleOptions, DeviceOptions):
    """Options of an extraction."""

    workdir: str = cli.required("Directory of the training run.")
    output: str = cli.required("Directory to write the descriptors to.")
    data_dir: str | None = cli.option(
        None, "Directory of a prepared dataset; default: the recipe's."
    )
    split: str = cli.option("test", "Split, or several joined by '+'.")
    queries: bool = cli.option(
        False, "Extract the ground truth's queries, cropped to their boxes."
    )
    skip_corrupt: bool = cli.option(
        False, "Leave out photos that can't be read, and report them."
    )
    overwrite: bool = cli.option(False, "Replace a finished extraction.")


def main(options: ExtractOptions) -> descriptor_sets.DescriptorSet:
    """Writes a descriptor set and prints its size."""
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
    devices = strategies.create_strategy(options.strategy, options.tpu)
    run = runs.open_run(options.workdir, devices).with_settings(
        options.scales, options.image_size
    )
    extracted = run.extractor(devices).write(
        options.output,
        dataset.split(options.split),
        names,
        options.queries,
        options.overwrite,
    )
    count, dimension = extracted.descriptors.shape
    cli.print_line(
        f"{count} descriptors of {dimension} dimensions: {options.output}"
    )
    if lost := extracted.provenance.get("lost"):
        cli.print_line(f"{len(lost)} unreadable photo(s), first: {lost[0]}")
    return extracted


if __name__ == "__main__":
    preemption.listen()
    cli.run(main, ExtractOptions)
