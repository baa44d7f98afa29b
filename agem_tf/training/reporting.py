"""The report of a training run."""

import pathlib
from collections.abc import Mapping, Sequence

from agem_tf.config import BenchmarkConfig, Config, network_title
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.tables import scores_row
from agem_tf.models import AGeM
from agem_tf.pages.attention import attention_pictures
from agem_tf.pages.curves import figure_to_image, training_curves
from agem_tf.pages.photo_sources import photos_of_split
from agem_tf.pages.rank_lists import rank_lists
from agem_tf.pages.report import Picture, Report, Table
from agem_tf.training.benchmarks import photo_settings


def write_report(
    path: pathlib.Path,
    config: Config,
    dataset: PreparedDataset,
    model: AGeM,
    evaluations: Mapping[str, Evaluation],
    history: Sequence[Mapping[str, float]],
    benchmarks: Mapping[str, Mapping[str, Evaluation]] | None = None,
) -> pathlib.Path:
    """Writes the HTML report of a run and returns its path.

    Args:
        path: Path of the page.
        config: The recipe.
        dataset: The dataset of the test photos.
        model: The model with the best weights.
        evaluations: Name of a variant -> its scores; the rankings of the last
            one are drawn.
        history: One row per validation.
        benchmarks: Title of a benchmark -> name of a variant -> its scores.
    """
    test_split = config.data.test_split
    split = dataset.split(test_split or config.data.train_split)
    rows = [scores_row(name, each.scores) for name, each in evaluations.items()]
    summary, tables, lists = [], [], []
    if rows:
        has_medium = "mAP medium" in rows[0]
        label = "mAP medium" if has_medium else list(rows[0])[1]
        summary = [
            (f"{label}, {name}", row[label])
            for name, row in zip(evaluations, rows, strict=True)
        ]
        last = list(evaluations.values())[-1]
        note = f"Protocol: {last.protocol}."
        if has_medium:
            note += " Columns without Easy, Medium or Hard are Medium."
        unit = ", percent" if last.scores.in_percent else ""
        tables.append(_table(f"Retrieval{unit}", rows, note))
        lists = rank_lists(last, photos_of_split(split), count=6)
    for settings in config.evaluation.benchmarks:
        stages = (benchmarks or {}).get(settings.title)
        if stages:
            tables.append(_benchmark_table(config, settings, stages))
    figures = []
    if history:
        # Benchmarks are not scored after every epoch.
        columns = list(dict.fromkeys(key for row in history for key in row))
        rows = [{key: row.get(key, "") for key in columns} for row in history]
        tables.append(_table("Epochs", rows))
        curves = figure_to_image(training_curves(history))
        figures.append(Picture(curves, "Training"))
    report = Report(
        title=f"Run: {config.name}",
        subtitle=_subtitle(config, dataset),
        summary=summary,
        tables=tables,
        figures=figures,
        rank_lists=lists,
        attention=attention_pictures(model, split, config.image),
    )
    report.save(path)
    return path


def _table(
    title: str, rows: Sequence[Mapping[str, object]], note: str = ""
) -> Table:
    return Table(title, list(rows[0]), [list(r.values()) for r in rows], note)


def _benchmark_table(
    config: Config,
    settings: BenchmarkConfig,
    stages: Mapping[str, Evaluation],
) -> Table:
    first = next(iter(stages.values()))
    unit = ", percent" if first.scores.in_percent else ""
    image, extraction = photo_settings(config, settings)
    parts = [
        f"Protocol: {first.protocol}. Photos of {image.size} pixels",
        f"scales {', '.join(f'{scale:g}' for scale in extraction.scales)}",
    ]
    if settings.whitening != "none":
        parts.append(f"{settings.whitening} whitening")
    if settings.rerank:
        parts.append(f"re-ranked by {settings.rerank}")
    rows = [scores_row(name, each.scores) for name, each in stages.items()]
    return _table(
        f"Benchmark {settings.title}{unit}", rows, f"{'; '.join(parts)}."
    )


def _subtitle(config: Config, dataset: PreparedDataset) -> str:
    counts = dataset.manifest["splits"].get(config.data.test_split)
    scored = ""
    if counts:
        scored = (
            f", scored on {counts['photos']} photos of {counts['landmarks']} "
            "landmarks that training never saw"
        )
    return (
        f"{network_title(config.model)}, on "
        f"{dataset.manifest['dataset']}{scored}."
    )
