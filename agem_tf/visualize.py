r"""Draw rank lists and attention of a trained model as one HTML page.

    python -m agem_tf.visualize --workdir=runs/quickstart --split=test \
        --descriptors=runs/quickstart/descriptors/trained/test \
        --output=pictures.html
"""

from __future__ import annotations

import pathlib

from agem_tf import cli

atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
strategies = cli.lazy("agem_tf.distribution.strategies")
reports = cli.lazy("agem_tf.pages.report")
attention = cli.lazy("agem_tf.pages.attention")
photo_sources = cli.lazy("agem_tf.pages.photo_sources")
rank_lists = cli.lazy("agem_tf.pages.rank_lists")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
scoring = cli.lazy("agem_tf.evaluation.evaluating")


@cli.options
class VisualizeOptions:
    """Options of a page of pictures."""

    workdir: str = cli.required("Directory of the training run.")
    descriptors: str = cli.required("Descriptor set of the split.")
    output: str = cli.required("HTML file to write.")
    queries: str | None = cli.option(
        None, "Descriptor set of the queries cropped to their boxes."
    )
    data_dir: str | None = cli.option(
        None, "Directory of a prepared dataset; default: the recipe's."
    )
    split: str = cli.option("test", "Split to draw.")
    count: int = cli.option(
        12, "Number of queries and of attention maps to draw.", minimum=1
    )


def main(options: VisualizeOptions) -> pathlib.Path:
    """Writes a page of pictures and returns its path.

    Raises:
        UserError: the descriptors are of another model than the run's.
    """
    atomic_writing.check_writable(options.output)
    recipe = run_files.read_recipe(options.workdir)
    database = descriptor_sets.DescriptorSet.load(options.descriptors)
    cropped = None
    if options.queries:
        cropped = descriptor_sets.DescriptorSet.load(options.queries)
    dataset = runs.open_dataset(recipe, options.workdir, options.data_dir)
    photos = dataset.split(options.split)
    ranked = scoring.evaluate_descriptors(
        database,
        dataset.ground_truth(options.split),
        cropped,
        protocol=dataset.protocol(options.split),
    )
    run = runs.open_run(options.workdir, strategies.create_strategy("one"))
    run.check_made(database, options.descriptors)
    reports.Report(
        title=f"Rank lists and attention: {options.split}",
        rank_lists=rank_lists.rank_lists(
            ranked, photo_sources.photos_of_split(photos), options.count
        ),
        attention=attention.attention_pictures(
            run.model, photos, run.config.image, options.count
        ),
    ).save(options.output)
    cli.print_line(f"Pictures: {options.output}")
    return pathlib.Path(options.output)


if __name__ == "__main__":
    cli.run(main, VisualizeOptions)
