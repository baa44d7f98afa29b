"""retrieval-SfM-30k and -120k, the training sets of GeM, from their pickles."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.datasets.public.sfm_pickle import SfmPart, read_parts
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.photos.listing import ListedPhoto

# The pickle's name of a split -> its name here, as in every other dataset.
_SPLITS = {"train": "train", "val": "validation"}


class RetrievalSfm120k(PublishedDataset, skip_registration=True):
    """Photos of 3-D models, and pairs that see the same points of one.

    retrieval-SfM-120k.pkl has the splits "train" and "val" (here "validation"),
    retrieval-SfM-120k-whiten.pkl the split "whiten"; one of the two suffices.
    The photo CID is ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID. A label is a
    photo's 3-D model; where a pickle has none, photos that pairs connect share
    a label. See Radenovic, Tolias, Chum (https://arxiv.org/abs/1711.02512).

    `Split.pairs` has the published pairs. The ground truth asks for them too: a
    query's positives are easy. For validation the rest of its model, which may
    or may not show the same, is junk; nobody ranks the training photos, and
    the rests of all their models would fill a hundred megabytes.

    Attributes:
        published_pairs: how many pairs each split has where it is complete.
    """

    pickle = "retrieval-SfM-120k"
    published_photos = {"train": 91642, "validation": 6403}
    published_pairs: Mapping[str, int] = {"train": 181697, "validation": 1691}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        self._parts = self._read()
        for split, part in self._parts.items():
            expected = self.published_pairs.get(split, len(part.pairs))
            if len(part.pairs) != expected:
                self.note(
                    f"Split {split} lists {len(part.pairs):,} pairs, not the "
                    f"{expected:,} of the publication."
                )
        return {
            split: [
                ListedPhoto(self._photo_path(cid), cid, f"model{label}", label)
                for cid, label in zip(
                    part.cids, _labels(part).tolist(), strict=True
                )
            ]
            for split, part in self._parts.items()
        }

    def pairs(self, split: str) -> Sequence[tuple[str, str]]:
        part = self._parts[split]
        return [(part.cids[q], part.cids[p]) for q, p in part.pairs.tolist()]

    def ground_truth(self, split: Split) -> GroundTruth | None:
        part = self._parts[split.name]
        if split.name == "whiten":
            return None
        models = None
        if split.name == "validation":
            models = _members(_labels(part))
        queries = _positives(part.pairs)
        return GroundTruth(
            part.cids,
            [part.cids[query] for query in queries],
            [
                _query_truth(query, positives, models)
                for query, positives in queries.items()
            ],
        )

    def _read(self) -> dict[str, SfmPart]:
        training = self.path(f"{self.pickle}.pkl")
        whitening = self.path(f"{self.pickle}-whiten.pkl")
        parts = {}
        if tf.io.gfile.exists(training):
            read = read_parts(training, list(_SPLITS))
            parts = {_SPLITS[name]: part for name, part in read.items()}
        if tf.io.gfile.exists(whitening):
            parts |= {"whiten": read_parts(whitening)[""]}
        if not parts:
            raise UserError(
                f"{self.source} has no {self.pickle}.pkl or "
                f"{self.pickle}-whiten.pkl; give the folder of the download as "
                "--source."
            )
        return parts

    def _photo_path(self, cid: str) -> str:
        return self.path("ims", cid[-2:], cid[-4:-2], cid[-6:-4], cid)


class RetrievalSfm30k(RetrievalSfm120k, skip_registration=True):
    """As RetrievalSfm120k; the published download has the split "whiten".

    retrieval-SfM-30k-whiten.pkl, and retrieval-SfM-30k.pkl where there is one.
    """

    pickle = "retrieval-SfM-30k"
    published_photos = {}
    published_pairs = {}


def _labels(part: SfmPart) -> np.ndarray:
    """(photos,) int64, the 3-D model of each photo."""
    if part.clusters is not None:
        return part.clusters
    count = len(part.cids)
    queries, positives = part.pairs.T
    graph = coo_array(
        (np.ones(len(part.pairs), bool), (queries, positives)), (count, count)
    )
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _members(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Photo -> the photos of its model."""
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    return {
        int(photo): group
        for group in np.split(order, starts[1:])
        for photo in group
    }


def _positives(pairs: np.ndarray) -> dict[int, np.ndarray]:
    """Query -> its distinct positives, both rising."""
    queries, positives = np.unique(pairs, axis=0).T
    distinct, starts = np.unique(queries, return_index=True)
    groups = np.split(positives, starts[1:])
    return dict(zip(distinct.tolist(), groups, strict=True))


def _query_truth(
    query: int, positives: np.ndarray, models: dict[int, np.ndarray] | None
) -> QueryTruth:
    rest = np.array([query]) if models is None else models[query]
    return QueryTruth(positives, [], np.setdiff1d(rest, positives))
