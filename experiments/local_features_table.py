"""Print DELF's table for a dataset: local features, expanded and fused.

    python experiments/local_features_table.py data/synthetic_landmarks \
        tables/seed0 runs/delf_quickstart_stage1 runs/delf_quickstart \
        runs/quickstart

Arguments: a prepared dataset with the splits train and test, a directory for
everything that is written, the runs of the two stages, and any number of runs
of global descriptors and of NAME=FEATURES,QUERIES, each two sets of local
features of the test split and its queries, whatever made them
(`agem_tf.extract --npz` imports them). Rows of a global descriptor have the
name of its run. The features of others have a row of their own, and one after
each global descriptor. Descriptors and features that exist are kept: give
another directory with other options.

Rows of local features are DELF's system: the `--max_features` best of each
photo of `--image_size` pixels (the run's, if not given), PCA to 40 dimensions
learned from the training split, votes, and the inliers of the best 100 photos
(verify:100; after descriptors, verify:100,5,homography,20). "DELF" is the
backbone before the first stage, "+FT" after it, both with features selected by
their norms, and "+ATT" the second stage; "random" has random weights. Rows of
"pooled" descriptors have one per photo. "+QE" is average query expansion with
10 photos. The fused score is the dot product of global descriptors, plus the
votes and plus the inliers of local features, each divided by the query's most.
"""

import argparse
import dataclasses
import functools
import pathlib

import numpy as np

from agem_tf import aggregate, extract, whiten
from agem_tf.config import loading
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.evaluation import tables
from agem_tf.evaluation.evaluating import (
    evaluate_descriptors,
    evaluate_feature_index,
    index_names,
)
from agem_tf.evaluation.protocols import find_protocol
from agem_tf.retrieval import reranking
from agem_tf.retrieval.local_indexes import load_feature_index
from agem_tf.retrieval.reranking import SpatialVerification
from agem_tf.training import job, workdir

DIMENSIONS = 40
EXPANSION = ("qe:10,0",)
# After votes, which rank well already, only sure inliers change the order.
AFTER_VOTES = SpatialVerification(100)
# Features lie on a grid of 16 pixels of the scaled photo, so that fewer of them
# agree, and less exactly, than keypoints of corners do.
AFTER_DESCRIPTORS = SpatialVerification(100, min_inliers=5, threshold=20.0)


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of one dataset, computed and printed one by one.

    Attributes:
        data: Directory of the dataset.
        output: Directory for descriptors, features and indexes.
        max_features: Local features per photo.
        image_size: Longer side of a photo whose local features are extracted,
            in pixels; None: that of the run.
    """

    data: str
    output: pathlib.Path
    max_features: int
    image_size: int | None

    @functools.cached_property
    def truth(self):
        return PreparedDataset(self.data).ground_truth("test")

    @functools.cached_property
    def protocol(self):
        return PreparedDataset(self.data).protocol("test")

    def untrained(self, run: str, name: str, *changes: str) -> str:
        """Returns a run of the same network before its training."""
        directory = str(self.output / name)
        recipe = loading.override_recipe(
            workdir.read_recipe(run),
            [
                "training.epochs=0",
                "evaluation.untrained=True",
                "data.test_split=''",
                f"data.directory={self.data}",
                *changes,
            ],
        )
        job.run_recipe(recipe, directory)
        return directory

    def extracted(self, run: str, name: str, kind: str, **changes):
        """Returns the test photos' descriptors or features, and the queries'.

        Args:
            run: Workdir of the run.
            name: Name of the row.
            kind: "local" or "global".
            **changes: Other fields of `ExtractOptions`.
        """
        sets = []
        for queries in (False, True) if self.truth.has_boxes else (False,):
            place = f"{name}_{kind}{'_queries' if queries else ''}"
            sets.append(
                extract.main(
                    extract.ExtractOptions(
                        workdir=run,
                        output=str(self.output / place),
                        data_dir=self.data,
                        split="test",
                        kind=kind,
                        queries=queries,
                        **changes,
                    )
                )
            )
        return sets[0], sets[-1]

    def features(self, run: str, name: str):
        """Returns reduced local features of the test photos and queries."""
        pca = str(self.output / f"{name}_pca")
        selection = {
            "image_size": self.image_size,
            "max_features": self.max_features,
        }
        extract.main(
            extract.ExtractOptions(
                workdir=run,
                output=str(self.output / f"{name}_train"),
                data_dir=self.data,
                split="train",
                kind="local",
                **selection,
            )
        )
        whiten.main(
            whiten.WhitenOptions(
                descriptors=str(self.output / f"{name}_train"),
                output=pca,
                method="pca",
                power=0.0,
                dimension=DIMENSIONS,
            )
        )
        return self.extracted(run, name, "local", whitening=pca, **selection)

    def by_votes(
        self, name: str, features: LocalFeatureSet, queries, directory: str
    ):
        """Prints the row of local features alone, stored in `directory`."""
        index = self.output / f"{name}_votes"
        if not index.exists():
            aggregate.main(
                aggregate.AggregateOptions(
                    features=directory,
                    output=str(index),
                    method="votes",
                )
            )
        loaded = load_feature_index(str(index))
        names = index_names(loaded, self.truth)
        evaluation = evaluate_feature_index(
            loaded,
            queries,
            self.truth,
            self.protocol,
            verify=self.verification(AFTER_VOTES, features, queries, names),
        )
        self.print_row(name, evaluation)

    def by_descriptors(
        self,
        name: str,
        database: DescriptorSet,
        queries: DescriptorSet,
        steps=(),
        verify=None,
    ):
        """Prints the row of one descriptor per photo."""
        parsed = reranking.parse_rerank(steps)
        evaluation = evaluate_descriptors(
            database,
            self.truth,
            queries,
            protocol=self.protocol,
            rerank=functools.partial(reranking.transform, steps=parsed),
            verify=verify,
        )
        self.print_row(name, evaluation)

    def verification(self, step, features, queries, names):
        """Returns what orders photos by their inliers."""

        def verify(query, order):
            return step.reorder(
                queries[self.truth.query_names[query]],
                lambda photo: features[names[photo]],
                order,
            )[0]

        return verify

    def local_scores(self, name, features, queries):
        """Returns a function of a query: its (photos,) votes and inliers.

        Each of both is divided by the query's most.

        Args:
            name: Name of the row of the local features, see `by_votes`.
            features, queries: Local features of the photos and queries.
        """
        names = self.truth.database_names
        index = load_feature_index(str(self.output / f"{name}_votes"))
        place = {name: column for column, name in enumerate(index.names)}
        columns = [place[name] for name in names]

        @functools.cache
        def scores(query):
            local = queries[self.truth.query_names[query]]
            votes = index.similarities(local)[columns]
            verified, inliers = AFTER_VOTES.reorder(
                local,
                lambda photo: features[names[photo]],
                np.argsort(-votes, kind="stable"),
            )
            inliers[inliers < AFTER_VOTES.min_inliers] = 0
            found = votes / max(votes.max(), 1)
            best = verified[: len(inliers)]
            found[best] += inliers / max(inliers.max(initial=0), 1)
            return found

        return scores

    def fusion(self, local_scores, pooled, steps=()):
        """Returns what orders photos by local scores and dot products.

        Args:
            local_scores: See `local_scores`.
            pooled: Global descriptors of the photos and queries.
            steps: Re-ranking steps of the global descriptors.
        """
        query_rows, rows, _ = reranking.transform(
            rows_of(pooled[1], self.truth.query_names),
            rows_of(pooled[0], self.truth.database_names),
            reranking.parse_rerank(steps),
        )

        def verify(query, order):
            scores = rows @ query_rows[query] + local_scores(query)
            return order[np.argsort(-scores[order], kind="stable")]

        return verify

    def print_row(self, name, evaluation):
        row = tables.scores_row(name, evaluation.scores)
        print(f"| {' | '.join(row.values())} |", flush=True)

    def print_head(self):
        """Prints the columns, and what papers report for this dataset."""
        protocol = find_protocol(self.protocol)
        size = len(self.truth.queries), len(self.truth.database_names), 0
        print(f"Protocol {self.protocol}: {size[0]} queries, {size[1]} photos")
        if published := protocol.published.get(size):
            for method, scores in published.scores.items():
                print(f"{published.dataset}, published: {method}: {scores}")


def rows_of(descriptors: DescriptorSet, names) -> np.ndarray:
    """Returns the descriptors of photos in the order of their names."""
    places = {name: row for row, name in enumerate(descriptors.names)}
    return descriptors.descriptors[[places[name] for name in names]]


def main() -> None:
    """Prints a Markdown row per method."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("first_stage")
    parser.add_argument("second_stage")
    parser.add_argument("others", nargs="*", metavar="RUN|NAME=SETS")
    parser.add_argument("--max_features", type=int, default=300)
    parser.add_argument("--image_size", type=int)
    given = parser.parse_args()
    table = Table(
        given.data, given.output, given.max_features, given.image_size
    )
    runs = [other for other in given.others if "=" not in other]
    others = {}
    for other in given.others:
        name, equals, paths = other.partition("=")
        if equals:
            others[name] = paths.split(",")
            if len(others[name]) != 2:
                parser.error(f"{other} is not NAME=FEATURES,QUERIES")
    table.print_head()
    descriptors = {}
    features = {}
    networks = {
        "random": table.untrained(
            given.first_stage, "untrained_random", "model.weights=None"
        ),
        "DELF": table.untrained(given.first_stage, "untrained"),
        "DELF+FT": given.first_stage,
        "DELF+FT+ATT": given.second_stage,
    }
    for name, run in networks.items():
        descriptors[name] = table.extracted(run, name, "global")
        table.by_descriptors(f"{name}, pooled", *descriptors[name])
    for name, run in networks.items():
        features[name] = table.features(run, name)
        stored = str(table.output / f"{name}_local")
        table.by_votes(name, *features[name], stored)
    best = features["DELF+FT+ATT"]
    names = table.truth.database_names
    verify = table.verification(AFTER_DESCRIPTORS, *best, names)
    table.by_descriptors(
        "DELF+FT+ATT+QE", *descriptors["DELF+FT+ATT"], EXPANSION, verify
    )
    for name, directories in others.items():
        features[name] = [LocalFeatureSet.load(each) for each in directories]
        table.by_votes(name, *features[name], directories[0])
    local_scores = table.local_scores("DELF+FT+ATT", *best)
    for run in runs:
        name = pathlib.Path(run).name
        pooled = table.extracted(run, name, "global")
        table.by_descriptors(name, *pooled)
        table.by_descriptors(f"{name}+QE", *pooled, EXPANSION)
        table.by_descriptors(f"{name}, verified", *pooled, verify=verify)
        for steps, suffix in ((), ""), (EXPANSION, "+QE"):
            fused = table.fusion(local_scores, pooled, steps)
            title = f"DELF+FT+ATT+{name}{suffix}"
            table.by_descriptors(title, *pooled, verify=fused)
        for other in others:
            table.by_descriptors(
                f"{name}, verified by {other}",
                *pooled,
                verify=table.verification(
                    AFTER_DESCRIPTORS, *features[other], names
                ),
            )


if __name__ == "__main__":
    main()
