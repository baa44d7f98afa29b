"""Draws what a trained model finds and where it looks, as one HTML page.

    python -m agem_tf.visualize --workdir=runs/quickstart --split=test \
        --descriptors=runs/quickstart/descriptors/trained/test \
        --output=pictures.html
"""

from __future__ import annotations

import pathlib

from absl import app

from agem_tf import cli

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
whitenings = cli.lazy("agem_tf.descriptors.linear_whitening")
strategies = cli.lazy("agem_tf.distribution.strategies")
reports = cli.lazy("agem_tf.pages.report")
pictures = cli.lazy("agem_tf.pages.photo_pictures")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
scoring = cli.lazy("agem_tf.evaluation.evaluating")

_FLAGS = cli.Flags()
_WORKDIR = _FLAGS.string("workdir", None, "Of the training run.", required=True)
_DESCRIPTORS = _FLAGS.string(
    "descriptors", None, "Descriptor set of the split.", required=True
)
_QUERIES = _FLAGS.string(
    "queries", None, "Descriptor set of cropped queries, if they have boxes."
)
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Prepared dataset; default: the recipe's."
)
_SPLIT = _FLAGS.string("split", "test", "Split that is drawn.")
_OUTPUT = _FLAGS.string("output", None, "Path of the HTML page.", required=True)
_COUNT = _FLAGS.integer("count", 12, "Queries and photos drawn.", lower_bound=1)


def main(
    workdir: str,
    descriptors: str,
    output: str,
    split: str = "test",
    queries: str | None = None,
    data_dir: str | None = None,
    count: int = 12,
) -> pathlib.Path:
    """Writes a page of pictures; see the flags of the same names.

    Raises:
        UserError: the descriptors are of another model than the run's.
    """
    recipe = run_files.read_recipe(workdir)
    database = descriptor_sets.DescriptorSet.load(descriptors)
    cropped = descriptor_sets.DescriptorSet.load(queries) if queries else None
    dataset = runs.open_dataset(recipe, workdir, data_dir)
    photos, truth = dataset.split(split), dataset.ground_truth(split)
    ranked = scoring.evaluate_descriptors(database, truth, cropped)
    run = runs.open_run(workdir, strategies.create_strategy("one"))
    run.check_made(database, descriptors)
    reports.Report(
        title=f"AGeM: {split}",
        rank_lists=pictures.rank_list_pictures(ranked, truth, photos, count),
        attention=pictures.attention_pictures(
            run.model, photos, run.config.image, count
        ),
    ).save(output)
    return pathlib.Path(output)


def _run() -> None:
    print(f"Pictures: {main(**_FLAGS.flag_values_dict())}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
