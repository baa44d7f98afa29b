r"""Score descriptors against a ground truth.

    python -m agem_tf.evaluate --descriptors=descriptors/test --split=test \
        --data_dir=runs/quickstart/data --output=scores \
        --rerank=dba:20,1 --rerank=qe:10,0

    python -m agem_tf.evaluate --descriptors=descriptors/test --split=test \
        --data_dir=data/mine --rerank=verify:100 --local_features=features/test

    python -m agem_tf.evaluate --descriptors=roxford5k.npy \
        --queries=queries.npy --ground_truth=gnd_roxford5k.pkl

    python -m agem_tf.evaluate --index=photos.index \
        --ground_truth=truth.json

    python -m agem_tf.evaluate --local_index=features.asmk --split=test \
        --query_features=features/test --data_dir=data/mine

The protocol follows from the ground truth, for example Easy, Medium and Hard
for revisited Oxford and Paris. Two evaluations are compared query by query:

    python -m agem_tf.evaluate --compare=scores,scores_reranked
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agem_tf import cli
from agem_tf.errors import UserError

comparison_page = cli.lazy("agem_tf.pages.comparison_page")
evaluation_run = cli.lazy("agem_tf.pages.evaluation_run")
photo_index = cli.lazy("agem_tf.library.photo_index")
tables = cli.lazy("agem_tf.evaluation.tables")


@cli.options
class ScoringOptions:
    """Ground truth that rankings are scored against, and the output files."""

    data_dir: str | None = cli.option(
        None, "Prepared dataset with the ground truth."
    )
    split: str = cli.option("test", "Split to score.")
    ground_truth: str | None = cli.option(
        None, "Ground truth in place of --data_dir: .pkl, .mat, .json or .csv."
    )
    protocol: str | None = cli.option(
        None,
        "revisited, oxford, holidays, instre, leave_one_out, ukbench, gldv2, "
        "gap or precision_recall; default: the ground truth's own.",
    )
    rerank: tuple[str, ...] = cli.option(
        (), "Re-ranking steps or a preset, in order."
    )
    local_features: str | None = cli.option(
        None, "Local features of the database, for --rerank=verify."
    )
    top: int = cli.option(100, "Photos to keep per ranking.", minimum=1)
    photos: str | None = cli.option(
        None, "Folder of the photos in the report; default: the dataset's."
    )
    output: str | None = cli.option(
        None, "Directory to write scores, rankings and the report to."
    )

    def __post_init__(self) -> None:
        self.check_needed("photos", "output", "they are for the report")

    def check_needed(self, option: str, needed: str, reason: str) -> None:
        """Checks that an option is given only with the one that it needs.

        Raises:
            UserError: the one that it needs is missing.
        """
        given = getattr(self, option) is not None
        if given and getattr(self, needed) is None:
            raise UserError(f"--{option} needs --{needed}: {reason}.")


@cli.options
class QueryOptions(ScoringOptions):
    """Queries, if they are not the photos of the database."""

    queries: str | None = cli.option(
        None, "Descriptors of the queries cropped to their boxes."
    )
    query_features: str | None = cli.option(
        None, "Local features of the queries cropped to their boxes."
    )

    def __post_init__(self) -> None:
        ScoringOptions.__post_init__(self)
        self.check_needed(
            "query_features", "local_features", "both are verified"
        )


@cli.options
class EvaluateOptions(QueryOptions):
    """Options of an evaluation."""

    descriptors: str = cli.required(
        "Descriptors of the database: a descriptor set, the directory of an "
        "exact index (as --index, but whitened and with distractors if those "
        "are given), or FILE.npy with its names in FILE.txt."
    )
    distractors: str | None = cli.option(
        None, "Descriptors to append to the database, for example R1M."
    )
    labels: str | None = cli.option(
        None, "CSV file of the database's landmarks, for GLDv2 recognition."
    )
    whitening: str | None = cli.option(None, "Whitening to apply.")
    dimension: int | None = cli.option(
        None, "Dimensions to keep when whitening; default: all.", minimum=1
    )

    def __post_init__(self) -> None:
        QueryOptions.__post_init__(self)
        self.check_needed(
            "dimension", "whitening", "only whitened descriptors are shortened"
        )
        self.check_needed(
            "labels", "ground_truth", "they are for a solution of GLDv2"
        )


@cli.options
class IndexEvaluateOptions(QueryOptions):
    """Score the search of an index of photos."""

    index: str = cli.required("Directory of the index, or milvus:ADDRESS.")
    parameter: tuple[str, ...] = cli.option(
        (), "Search parameter of FAISS or Milvus, for example nprobe=32."
    )
    model: str | None = cli.option(
        None, "For Milvus: directory of the SavedModel, if it has moved."
    )


@cli.options
class FeatureEvaluateOptions(ScoringOptions):
    """Score an index of local features."""

    local_index: str = cli.required(
        "Index of local features, by agem_tf.aggregate."
    )
    query_features: str = cli.required(
        "Local features of the queries, cropped to their boxes if they have "
        "any."
    )


@cli.options
class CompareOptions:
    """Compare two evaluations of the same queries."""

    compare: str = cli.required(
        "Two directories that evaluations wrote, A,B: differences of the "
        "scores of single queries, and a paired bootstrap interval."
    )
    output: str | None = cli.option(
        None, "HTML file for the queries that gained and lost most."
    )
    data_dir: str | None = cli.option(
        None, "Prepared dataset of both evaluations, for the photos."
    )
    split: str = cli.option("test", "Split that was scored.")


def main(
    options: EvaluateOptions
    | IndexEvaluateOptions
    | FeatureEvaluateOptions
    | CompareOptions,
) -> evaluation_run.Evaluation | comparison_page.Comparison:
    """Scores descriptors or compares evaluations, and prints the scores."""
    if isinstance(options, CompareOptions):
        return _compare(options)
    return _evaluate(options)


def _evaluate(
    options: EvaluateOptions | IndexEvaluateOptions | FeatureEvaluateOptions,
) -> evaluation_run.Evaluation:
    if isinstance(options, IndexEvaluateOptions):
        scored = options.index
        evaluation = evaluation_run.run_index_evaluation(options, _described)
    elif isinstance(options, FeatureEvaluateOptions):
        scored = options.local_index
        evaluation = evaluation_run.run_feature_evaluation(options)
    else:
        scored = options.descriptors
        evaluation = evaluation_run.run_evaluation(options)
    name = " ".join([scored, *options.rerank])
    row = tables.scores_row(name, evaluation.scores)
    cli.print_line(tables.format_table([row]))
    interval = tables.interval_line(evaluation.scores)
    if interval is not None:
        cli.print_line(interval)
    for note in evaluation.notes:
        cli.print_line(note)
    if options.output is not None:
        cli.print_line(f"Report: {options.output}/report.html")
    return evaluation


def _described(stored: Any, names: Sequence[str]) -> Any:
    return photo_index.PhotoIndex(stored).descriptors(names)


def _compare(options: CompareOptions) -> comparison_page.Comparison:
    comparison = comparison_page.run_comparison(options)
    for label, name in zip("AB", comparison.names, strict=True):
        cli.print_line(f"{label}: {name}")
    cli.print_line(tables.format_table(comparison.rows()))
    for name, first, second, difference in comparison.changed_queries():
        cli.print_line(
            f"{difference:+6.1f}  {name} ({first:.1f} -> {second:.1f})"
        )
    if options.output is not None:
        cli.print_line(f"Report: {options.output}")
    return comparison


if __name__ == "__main__":
    cli.run(
        main,
        EvaluateOptions,
        index=IndexEvaluateOptions,
        local_index=FeatureEvaluateOptions,
        compare=CompareOptions,
    )
