"""retrieval-SfM-30k and -120k, the training sets of GeM, from their pickles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.files.pickles import read_pickle
from agem_tf.photos.listing import ListedPhoto

# The pickle of 120k photos and 180k pairs has about 10 MB.
MAX_BYTES = 32 * 2**20
# Name of a split in the pickle -> its name in every prepared dataset.
_SPLITS = {"train": "train", "val": "validation"}
_PHOTO_NAME = re.compile(r"\w{6,}")


class RetrievalSfm120k(PublishedDataset, skip_registration=True):
    """Photos of 3-D models, and pairs of photos that see the same points.

    retrieval-SfM-120k.pkl has the splits "train" and "val" (here "validation"),
    retrieval-SfM-120k-whiten.pkl the split "whiten"; one of the two suffices.
    The photo CID is ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID. The label of a
    photo is its 3-D model; where a pickle lists no models, photos connected by
    pairs share a label. See Radenovic, Tolias, Chum
    (https://arxiv.org/abs/1711.02512).

    `Split.pairs` holds the published pairs. In the ground truth, the positives
    of a query are easy. In the validation split the rest of its model, which
    may or may not show the same, is junk. The training split has no junk but
    the query itself: it is never ranked, and the models would take 100 MB.

    Attributes:
        published_pairs: number of pairs per split in the complete data set.
    """

    pickle = "retrieval-SfM-120k"
    published_photos = {"train": 91642, "validation": 6403}
    published_pairs: Mapping[str, int] = {"train": 181697, "validation": 1691}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        self._parts = self._read_pickles()
        listing = {}
        for split, part in self._parts.items():
            expected = self.published_pairs.get(split, len(part.pairs))
            if len(part.pairs) != expected:
                self.note(
                    f"Split {split} lists {len(part.pairs):,} pairs, not the "
                    f"{expected:,} of the publication."
                )
            listing[split] = [
                ListedPhoto(
                    self.path("ims", cid[-2:], cid[-4:-2], cid[-6:-4], cid),
                    cid,
                    f"model{label}",
                    label,
                )
                for cid, label in zip(
                    part.cids, part.labels().tolist(), strict=True
                )
            ]
        return listing

    def pairs(self, split: str) -> Sequence[tuple[str, str]]:
        part = self._parts[split]
        return [(part.cids[q], part.cids[p]) for q, p in part.pairs.tolist()]

    def ground_truth(self, split: Split) -> GroundTruth | None:
        if split.name == "whiten":
            return None
        part = self._parts[split.name]
        models = None
        if split.name == "validation":
            models = _photos_of_same_label(part.labels())
        # Both columns rise, and a pair that is listed twice counts once.
        queries, positives = np.unique(part.pairs, axis=0).T
        distinct, starts = np.unique(queries, return_index=True)
        truths = []
        for query, easy in zip(
            distinct.tolist(), np.split(positives, starts[1:]), strict=True
        ):
            rest = np.array([query]) if models is None else models[query]
            truths.append(QueryTruth(easy, [], np.setdiff1d(rest, easy)))
        return GroundTruth(
            part.cids, [part.cids[query] for query in distinct], truths
        )

    def _read_pickles(self) -> dict[str, "SfmPart"]:
        training = self.path(f"{self.pickle}.pkl")
        whitening = self.path(f"{self.pickle}-whiten.pkl")
        parts = {}
        if epath.Path(training).exists():
            read = read_sfm_pickle(training, list(_SPLITS))
            parts = {_SPLITS[name]: part for name, part in read.items()}
        if epath.Path(whitening).exists():
            parts["whiten"] = read_sfm_pickle(whitening)[""]
        if not parts:
            raise UserError(
                f"{self.source} has no {self.pickle}.pkl or "
                f"{self.pickle}-whiten.pkl; give the folder of the download as "
                "--source."
            )
        return parts


class RetrievalSfm30k(RetrievalSfm120k, skip_registration=True):
    """The smaller retrieval-SfM, of which the split "whiten" is published.

    retrieval-SfM-30k-whiten.pkl, and retrieval-SfM-30k.pkl where it exists, in
    the layout of `RetrievalSfm120k`.
    """

    pickle = "retrieval-SfM-30k"
    published_photos = {}
    published_pairs = {}


@dataclass(frozen=True, eq=False)
class SfmPart:
    """One split of a pickle.

    Attributes:
        cids: (photos,) names.
        clusters: (photos,) int64 3-D model of each photo, or None.
        pairs: (pairs, 2) int64 indices of a query and its positive.
    """

    cids: list[str]
    clusters: np.ndarray | None
    pairs: np.ndarray

    def labels(self) -> np.ndarray:
        """Returns the (photos,) int64 3-D model of each photo."""
        if self.clusters is not None:
            return self.clusters
        count = len(self.cids)
        queries, positives = self.pairs.T
        graph = coo_array(
            (np.ones(len(self.pairs), bool), (queries, positives)),
            (count, count),
        )
        labels = connected_components(graph, directed=False)[1]
        return labels.astype(np.int64)


def read_sfm_pickle(path: str, names: Sequence[str] = ()) -> dict[str, SfmPart]:
    """Reads a pickle of several splits, or of one without a name.

    Args:
        path: Local or remote path of the pickle.
        names: Splits to read; empty for a pickle of one split, which is
            returned under the name "".

    Raises:
        UserError: The file is too large or has another form, or asks for
            more than plain values, as only a hostile pickle does.
    """
    try:
        file = epath.Path(path)
        size = file.stat().length
        if size > MAX_BYTES:
            raise UserError(
                f"it has {size:,} bytes, the published one fewer than "
                f"{MAX_BYTES:,}."
            )
        content = read_pickle(file.read_bytes())
        if not names:
            return {"": _parse_part(content)}
        return {name: _parse_part(_entry(content, name)) for name in names}
    except UserError as error:
        raise UserError(
            f"{path}: {error} Download the published file."
        ) from error


def _parse_part(content: Any) -> SfmPart:
    cids = _entry(content, "cids")
    if not isinstance(cids, list) or not all(
        isinstance(cid, str) and _PHOTO_NAME.fullmatch(cid) for cid in cids
    ):
        raise UserError("'cids' is not a list of photo names.")
    clusters = None
    if "cluster" in content:
        clusters = _integers(content, "cluster", None)
        if len(clusters) != len(cids):
            raise UserError(
                f"it has {len(cids)} photos, but {len(clusters)} clusters."
            )
    queries = _integers(content, "qidxs", len(cids))
    positives = _integers(content, "pidxs", len(cids))
    if len(queries) != len(positives):
        raise UserError(
            f"it has {len(queries)} queries, but {len(positives)} positives."
        )
    return SfmPart(cids, clusters, np.stack([queries, positives], axis=1))


def _entry(content: Any, key: str) -> Any:
    if not isinstance(content, Mapping) or key not in content:
        raise UserError(f"it has no {key!r}.")
    return content[key]


def _integers(content: Any, key: str, limit: int | None) -> np.ndarray:
    values = _entry(content, key)
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    # Checked item by item first: NumPy would unfold lists that share items.
    whole = isinstance(values, list) and all(
        isinstance(value, int | np.integer) for value in values
    )
    if not whole:
        raise UserError(f"{key!r} is not a list of integers.")
    if any(value < 0 or value >= (limit or 2**62) for value in values):
        raise UserError(f"{key!r} holds a number that is out of range.")
    return np.array(values, np.int64)


def _photos_of_same_label(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Returns, for each photo, the photos of its 3-D model."""
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    return {
        int(photo): group
        for group in np.split(order, starts[1:])
        for photo in group
    }
