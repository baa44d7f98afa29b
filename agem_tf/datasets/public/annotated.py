"""Oxford and Paris, old and revisited, and INSTRE: a file with all answers."""

import os
import warnings
from collections.abc import Mapping

from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.datasets.remote import local_copy
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.published_ground_truth import load_published
from agem_tf.photos.listing import ListedPhoto
from agem_tf.photos.reading import SUFFIXES


class AnnotatedDataset(PublishedDataset, skip_registration=True):
    """A benchmark whose database, queries and answers one file lists.

    The split "test" has the database, in the order of the file, then those
    queries that are not in it; a query's box is in its record.

    Attributes:
        annotation: name of the file, without .pkl or .mat.
        folder: of the photos, below `source`.
    """

    annotation = ""
    folder = "jpg"

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        self._truth = self._load()
        boxes = _query_boxes(self._truth)
        names = dict.fromkeys(
            [*self._truth.database_names, *self._truth.query_names]
        )
        return {
            "test": [
                ListedPhoto(self._photo_path(name), name, box=boxes.get(name))
                for name in names
            ]
        }

    def ground_truth(self, split: Split) -> GroundTruth:
        del split  # There is one.
        return self._truth

    def _load(self) -> GroundTruth:
        file = self.find(f"{self.annotation}.pkl", f"{self.annotation}.mat")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with local_copy(file) as copy:
                truth = load_published(copy)
        for warning in caught:
            warnings.warn(warning.message, stacklevel=2)
            self.note(str(warning.message))
        return truth

    def _photo_path(self, name: str) -> str:
        suffix = os.path.splitext(name)[1].lower()
        file = name if suffix in SUFFIXES else f"{name}.jpg"
        return self.path(self.folder, file) if self.folder else self.path(file)


class Roxford5k(AnnotatedDataset, skip_registration=True):
    """Revisited Oxford (https://arxiv.org/abs/1803.11285).

    4,993 photos of the database and 70 queries: gnd_roxford5k.pkl or .mat, and
    jpg/.
    """

    annotation = "gnd_roxford5k"
    published_photos = {"test": 4993 + 70}


class Rparis6k(AnnotatedDataset, skip_registration=True):
    """Revisited Paris (https://arxiv.org/abs/1803.11285).

    6,322 photos of the database and 70 queries: gnd_rparis6k.pkl or .mat, and
    jpg/.
    """

    annotation = "gnd_rparis6k"
    published_photos = {"test": 6322 + 70}


class Oxford5k(AnnotatedDataset, skip_registration=True):
    """The older Oxford Buildings, whose 55 queries are in the database.

    gnd_oxford5k.pkl or .mat, and jpg/. See Philbin et al., "Object retrieval
    with large vocabularies and fast spatial matching", CVPR 2007.
    """

    protocol = "oxford"
    annotation = "gnd_oxford5k"
    published_photos = {"test": 5063}


class Paris6k(AnnotatedDataset, skip_registration=True):
    """The older Paris, whose 55 queries are in the database.

    gnd_paris6k.pkl or .mat, and jpg/. See Philbin et al., "Lost in
    quantization", CVPR 2008.
    """

    protocol = "oxford"
    annotation = "gnd_paris6k"
    published_photos = {"test": 6392}


class Instre(AnnotatedDataset, skip_registration=True):
    """INSTRE in the split of Iscen et al. (https://arxiv.org/abs/1611.05113).

    250 objects, 27,293 photos of the database and 1,250 queries:
    gnd_instre.mat or .pkl, and the folders INSTRE-S1, INSTRE-S2, INSTRE-M.
    """

    protocol = "instre"
    annotation = "gnd_instre"
    folder = ""
    published_photos = {"test": 27293 + 1250}


def _query_boxes(
    truth: GroundTruth,
) -> dict[str, tuple[float, float, float, float] | None]:
    boxes = {}
    for name, query in zip(truth.query_names, truth.queries, strict=True):
        if boxes.setdefault(name, query.box) != query.box:
            raise UserError(
                f"The ground truth asks for two boxes of photo {name!r}; a "
                "record has one."
            )
    return boxes
