"""The page that a training run ends with."""

import pathlib
from collections.abc import Mapping, Sequence

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.tables import scores_row
from agem_tf.models import AGeM
from agem_tf.pages.attention import attention_pictures
from agem_tf.pages.curves import figure_to_image, training_curves
from agem_tf.pages.photo_sources import photos_of_split
from agem_tf.pages.rank_lists import rank_lists
from agem_tf.pages.report import Picture, RankList, Report, Table


def write_report(
    path: pathlib.Path,
    config: Config,
    dataset: PreparedDataset,
    model: AGeM,
    evaluations: Mapping[str, Evaluation],
    history: Sequence[Mapping[str, float]],
) -> pathlib.Path:
    """Writes the HTML report of a run and returns its path.

    Args:
        path: of the page.
        config: the recipe.
        dataset: where test photos are.
        model: the best weights.
        evaluations: name of a variant -> its scores; the last one's rankings
            are drawn.
        history: one dict an epoch.
    """
    split_name = config.data.test_split or config.data.train_split
    split = dataset.split(split_name)
    report = Report(
        title=f"AGeM: {config.name}",
        subtitle=_subtitle(config, dataset),
        summary=[_headline(name, each) for name, each in evaluations.items()],
        tables=_tables(evaluations, history),
        figures=_figures(history),
        rank_lists=_rank_lists(config, dataset, evaluations),
        attention=attention_pictures(model, split, config.image),
    )
    report.save(path)
    return path


def _subtitle(config: Config, dataset: PreparedDataset) -> str:
    counts = dataset.manifest["splits"].get(config.data.test_split, {})
    model = config.model
    scored = (
        f", scored on {counts['photos']} photos of {counts['landmarks']} "
        "landmarks that training never saw"
        if counts
        else ""
    )
    return (
        f"{model.backbone} + attention {model.attention} + {model.pooling} on "
        f"{dataset.manifest['dataset']}{scored}."
    )


def _headline(name: str, evaluation: Evaluation) -> tuple[str, str]:
    row = scores_row(name, evaluation.scores)
    label = "mAP medium" if "mAP medium" in row else list(row)[1]
    return f"{label}, {name}", row[label]


def _tables(
    evaluations: Mapping[str, Evaluation],
    history: Sequence[Mapping[str, float]],
) -> list[Table]:
    tables = []
    if evaluations:
        rows = [scores_row(n, each.scores) for n, each in evaluations.items()]
        protocol = next(iter(evaluations.values())).protocol
        tables.append(
            Table(
                "Retrieval, percent",
                list(rows[0]),
                [list(row.values()) for row in rows],
                f"Protocol: {protocol}. Of Easy, Medium and Hard, further "
                "columns are Medium.",
            )
        )
    if history:
        tables.append(
            Table(
                "Epochs",
                list(history[0]),
                [list(row.values()) for row in history],
            )
        )
    return tables


def _figures(history: Sequence[Mapping[str, float]]) -> list[Picture]:
    if not history:
        return []
    figure = training_curves(history)
    return [Picture(figure_to_image(figure), "Training")]


def _rank_lists(
    config: Config,
    dataset: PreparedDataset,
    evaluations: Mapping[str, Evaluation],
) -> list[RankList]:
    if not evaluations:
        return []
    split = dataset.split(config.data.test_split)
    last = list(evaluations.values())[-1]
    return rank_lists(last, photos_of_split(split), count=6)
