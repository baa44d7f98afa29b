"""Benchmarks of image retrieval and their distractors, from their downloads.

Oxford and Paris, old and revisited, and INSTRE publish one file with all
answers. In INRIA Holidays and UKBench the name of a photo says what it shows.
R1M and Oxford100k are photos that no query asks for.
"""

import os
import warnings
from collections.abc import Iterator, Mapping

from etils import epath

from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.ground_truth_files import load_published
from agem_tf.evaluation.protocols.oxford import holidays_ground_truth
from agem_tf.evaluation.protocols.ukbench import ukbench_ground_truth
from agem_tf.files.locations import local_copy
from agem_tf.photos.listing import ListedPhoto
from agem_tf.photos.reading import SUFFIXES

_DISTRACTORS = "distractors"
_HOLIDAYS_LIST = "holidays_images.dat"


class AnnotatedDataset(PublishedDataset, skip_registration=True):
    """A benchmark with one file that lists database, queries and answers.

    The split "test" holds the database, in the order of the file, then the
    queries that are not part of it. The record of a query holds its box.

    Attributes:
        annotation: name of the file, without .pkl or .mat.
        folder: folder of the photos below `source`.
    """

    annotation = ""
    folder = "jpg"

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        self._truth = self._load_annotation()
        boxes = {}
        for name, query in zip(
            self._truth.query_names, self._truth.queries, strict=True
        ):
            if boxes.setdefault(name, query.box) != query.box:
                raise UserError(
                    f"The ground truth has two boxes of photo {name!r}, and a "
                    "record has room for one."
                )
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
        del split  # There is only one.
        return self._truth

    def _load_annotation(self) -> GroundTruth:
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

    4,993 database photos and 70 queries: gnd_roxford5k.pkl or .mat, and jpg/.
    """

    annotation = "gnd_roxford5k"
    published_photos = {"test": 4993 + 70}


class Rparis6k(AnnotatedDataset, skip_registration=True):
    """Revisited Paris (https://arxiv.org/abs/1803.11285).

    6,322 database photos and 70 queries: gnd_rparis6k.pkl or .mat, and jpg/.
    """

    annotation = "gnd_rparis6k"
    published_photos = {"test": 6322 + 70}


class Oxford5k(AnnotatedDataset, skip_registration=True):
    """Oxford Buildings, with 55 queries from the database.

    gnd_oxford5k.pkl or .mat, and jpg/. See Philbin et al., "Object retrieval
    with large vocabularies and fast spatial matching", CVPR 2007.
    """

    protocol = "oxford"
    annotation = "gnd_oxford5k"
    published_photos = {"test": 5063}


class Paris6k(AnnotatedDataset, skip_registration=True):
    """Paris Buildings, with 55 queries from the database.

    gnd_paris6k.pkl or .mat, and jpg/. See Philbin et al., "Lost in
    quantization", CVPR 2008.
    """

    protocol = "oxford"
    annotation = "gnd_paris6k"
    published_photos = {"test": 6392}


class Instre(AnnotatedDataset, skip_registration=True):
    """INSTRE in the split of Iscen et al. (https://arxiv.org/abs/1611.05113).

    250 objects, 27,293 database photos and 1,250 queries: gnd_instre.mat or
    .pkl, and the folders INSTRE-S1, INSTRE-S2, INSTRE-M.
    """

    protocol = "instre"
    annotation = "gnd_instre"
    folder = ""
    published_photos = {"test": 27293 + 1250}


class InriaHolidays(PublishedDataset, skip_registration=True):
    """INRIA Holidays: 1,491 photos of 500 scenes, the first of each a query.

    jpg/100000.jpg and so on; the first four digits are the scene. Missing
    photos are found with holidays_images.dat of the evaluation package, if it
    is put beside jpg/. See Jegou, Douze and Schmid, "Hamming embedding and
    weak geometric consistency for large scale image search", ECCV 2008.
    """

    protocol = "holidays"
    published_photos = {"test": 1491}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        self._names = sorted(self._listed_names())
        return {
            "test": [
                ListedPhoto(self.path("jpg", name), name, *_scene(name))
                for name in self._names
            ]
        }

    def ground_truth(self, split: Split) -> GroundTruth:
        del split  # There is only one.
        return holidays_ground_truth(self._names)

    def _listed_names(self) -> list[str]:
        listed = epath.Path(self.path(_HOLIDAYS_LIST))
        if listed.exists():
            return listed.read_text().split()
        folder, all_photos = self.find("jpg"), self.published_photos["test"]
        names = [path.name for path in epath.Path(folder).iterdir()]
        names = [name for name in names if name.endswith(".jpg")]
        if len(names) < all_photos and not self.allow_missing:
            raise UserError(
                f"{folder} has {len(names):,} of the {all_photos:,} photos; "
                f"put {_HOLIDAYS_LIST} beside it to have the others named, or "
                "pass --allow_missing."
            )
        return names


class Ukbench(PublishedDataset, skip_registration=True):
    """UKBench: 10,200 photos, four in a row per object, all of them queries.

    full/ukbench00000.jpg to full/ukbench10199.jpg. See Nister and Stewenius,
    "Scalable recognition with a vocabulary tree", CVPR 2006.
    """

    protocol = "ukbench"
    published_photos = {"test": 10200}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        photos = []
        for number in range(self.published_photos["test"]):
            name, thing = f"ukbench{number:05d}.jpg", number // 4
            path = self.path("full", name)
            photos.append(ListedPhoto(path, name, f"object{thing:04d}", thing))
        self._names = [photo.name for photo in photos]
        return {"test": photos}

    def ground_truth(self, split: Split) -> GroundTruth:
        del split  # There is only one.
        return ukbench_ground_truth(self._names)


class Revisitop1m(PublishedDataset, skip_registration=True):
    """R1M, the million distractors of revisited Oxford and Paris.

    revisitop1m.txt, the list, and jpg/. Their descriptors are searched after
    those of the database (https://arxiv.org/abs/1803.11285). Some of the
    photos are truncated: prepare them with --skip_bad.
    """

    published_photos = {_DISTRACTORS: 1_001_001}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        listed = epath.Path(self.find("revisitop1m.txt"))
        folder = self.path("jpg")
        return {
            _DISTRACTORS: [
                ListedPhoto(f"{folder}/{name}", name)
                for name in listed.read_text().split()
            ]
        }


class Oxford100k(PublishedDataset, skip_registration=True):
    """Oxford's 100,071 distractors from Flickr, as folders of photos.

    No list is published, so all photos below `source` are taken. Together with
    Oxford5k they are Oxford105k, with Paris6k Paris106k.
    """

    published_photos = {_DISTRACTORS: 100_071}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        paths = map(os.fspath, _photo_files(epath.Path(self.source)))
        return {
            _DISTRACTORS: [
                ListedPhoto(path, path.removeprefix(f"{self.source}/"))
                for path in paths
            ]
        }


def _photo_files(
    folder: epath.Path, above: frozenset[str] = frozenset()
) -> Iterator[epath.Path]:
    """Yields the photos of a folder, then those of its folders, by name.

    Links to folders are followed, except to a folder above them.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    folders = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            folders.append(path)
        elif path.suffix.lower() in SUFFIXES:
            yield path
    for path in folders:
        yield from _photo_files(path, above | {real})


def _scene(name: str) -> tuple[str, int]:
    """Returns the landmark and the label of a photo of INRIA Holidays."""
    number = os.path.splitext(name)[0]
    if not (number.isdecimal() and len(number) == 6):
        raise UserError(
            f"{name!r} is not a photo of INRIA Holidays, which are named like "
            "100000.jpg; move it away."
        )
    return number[:4], int(number[:4])
