"""The comparison behind `agem_tf.evaluate --compare`: numbers and a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.errors import UserError
from agem_tf.evaluation.comparison import PartComparison, compare_scores
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.results import StoredScores
from agem_tf.files.atomic_writing import check_writable
from agem_tf.pages.photo_sources import Photos, photos_of_split
from agem_tf.pages.rank_lists import query_tiles, shown_photos
from agem_tf.pages.report import RankList, Report, Table

# Queries that gained, and as many that lost, in the table and the rank lists.
_NUM_QUERIES = 5
# Photos shown of each ranking.
_TOP = 10


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations, A and B, of the same queries.

    Attributes:
        names: directories of the two evaluations.
        stored: scores of their queries.
        parts: differences at each difficulty.
    """

    names: tuple[str, str]
    stored: tuple[StoredScores, StoredScores]
    parts: Sequence[PartComparison]

    @property
    def main(self) -> PartComparison:
        """Differences at Medium, or of a protocol without difficulties."""
        by_name = {part.part: part for part in self.parts}
        return by_name.get("medium", self.parts[0])

    def rows(self) -> list[dict[str, str]]:
        """Returns column -> text for each difficulty, scores in percent."""
        rows = []
        for part in self.parts:
            first, second = part.means
            low, high = part.interval
            rows.append(
                {
                    "": part.part,
                    "A": f"{100 * first:.1f}",
                    "B": f"{100 * second:.1f}",
                    "B - A": f"{100 * (second - first):+.1f}",
                    "95 % interval": f"{100 * low:+.1f} to {100 * high:+.1f}",
                    "gained": str(part.num_gained),
                    "lost": str(part.num_lost),
                    "queries": str(part.num_scored),
                }
            )
        return rows

    def changed_queries(self) -> list[tuple[str, float, float, float]]:
        """Returns name, A, B and B - A of the queries that changed most.

        The scores are those of `main`, in percent.
        """
        part = self.main
        changed = part.gained_most(_NUM_QUERIES)
        changed += part.lost_most(_NUM_QUERIES)[::-1]
        return [
            (
                self.stored[0].query_names[query],
                100 * float(part.first[query]),
                100 * float(part.second[query]),
                100 * float(part.differences[query]),
            )
            for query in changed
        ]


def run_comparison(options: Any) -> Comparison:
    """Compares two evaluations and writes the page.

    Args:
        options: an `agem_tf.evaluate.CompareOptions`.

    Raises:
        UserError: a fault of the options or of an evaluation, the two cannot
            be compared, or they scored another dataset.
    """
    names = options.compare.split(",")
    if len(names) != 2:
        raise UserError(
            "--compare takes the directories of two evaluations, A,B. "
            f"Received: {options.compare}"
        )
    if bool(options.data_dir) != bool(options.output):
        raise UserError(
            "--output and --data_dir go together: the page shows the photos of "
            "the dataset."
        )
    check_writable(options.output)
    first, second = map(StoredScores.load, names)
    comparison = Comparison(
        tuple(names), (first, second), compare_scores(first, second)
    )
    if options.output:
        dataset = PreparedDataset(options.data_dir)
        truth = dataset.ground_truth(options.split)
        _check_scored_photos(comparison, truth)
        photos = photos_of_split(dataset.split(options.split))
        _page(comparison, truth, photos).save(options.output)
    return comparison


def _check_scored_photos(comparison: Comparison, truth: GroundTruth) -> None:
    """Checks that the names and indices of both evaluations are the truth's."""
    photos = list(truth.database_names)
    for stored in comparison.stored:
        ranking = stored.ranking
        # Distractors follow the photos of the dataset.
        scored = list(ranking.database_names)[: len(photos)]
        if scored != photos or list(ranking.query_names) != list(
            truth.query_names
        ):
            raise UserError(
                "The evaluations scored other photos than those of --data_dir "
                "and --split; give the dataset of both evaluations."
            )


def _page(comparison: Comparison, truth: GroundTruth, photos: Photos) -> Report:
    rows = comparison.rows()
    main = rows[comparison.parts.index(comparison.main)]
    changed = comparison.changed_queries()
    return Report(
        title="Comparison of two evaluations",
        subtitle=f"A: {comparison.names[0]}. B: {comparison.names[1]}.",
        summary=[(name, main[name]) for name in list(main)[1:5]],
        tables=[
            Table(
                "Means over queries, percent",
                list(rows[0]),
                [list(row.values()) for row in rows],
                "The interval is that of B - A, by a paired bootstrap over "
                "the queries.",
            ),
            Table(
                "Queries that gained and lost most, percent",
                ["query", "A", "B", "B - A"],
                changed,
            ),
        ],
        rank_lists=list(_rank_lists(comparison, truth, photos)),
    )


def _rank_lists(
    comparison: Comparison, truth: GroundTruth, photos: Photos
) -> Iterator[RankList]:
    """Yields what A, then what B found for each query that changed most."""
    rows = {name: row for row, name in enumerate(truth.query_names)}
    for name, *scores, _ in comparison.changed_queries():
        for label, score, stored in zip(
            "AB", scores, comparison.stored, strict=True
        ):
            ranking = stored.ranking
            query = ranking.query_names.index(name)
            found = shown_photos(
                name, ranking.ranks[query], ranking.database_names, _TOP
            )
            captions = [str(rank) for rank in range(1, len(found) + 1)]
            tiles = query_tiles(
                name, truth.queries[rows[name]], found, captions, photos
            )
            yield RankList(f"{name}, {label}: {score:.1f} %", tiles)
