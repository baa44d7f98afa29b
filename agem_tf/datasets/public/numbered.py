"""INRIA Holidays and UKBench, whose file names tell what a photo shows."""

import os
from collections.abc import Mapping

import tensorflow as tf

from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.errors import UserError
from agem_tf.evaluation.benchmarks import (
    holidays_ground_truth,
    ukbench_ground_truth,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.photos.listing import ListedPhoto

_HOLIDAYS_LIST = "holidays_images.dat"


class InriaHolidays(PublishedDataset, skip_registration=True):
    """INRIA Holidays: 1,491 photos of 500 scenes, the first of each a query.

    jpg/100000.jpg and so on, the first four digits being the scene. What is
    missing is known from holidays_images.dat of the evaluation package, where
    it stands beside jpg/. See Jegou, Douze and Schmid, "Hamming embedding and
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
        del split  # There is one.
        return holidays_ground_truth(self._names)

    def _listed_names(self) -> list[str]:
        if tf.io.gfile.exists(self.path(_HOLIDAYS_LIST)):
            with tf.io.gfile.GFile(self.path(_HOLIDAYS_LIST)) as file:
                return file.read().split()
        folder, all_photos = self.find("jpg"), self.published_photos["test"]
        names = [n for n in tf.io.gfile.listdir(folder) if n.endswith(".jpg")]
        if len(names) < all_photos and not self.allow_missing:
            raise UserError(
                f"{folder} has {len(names):,} of the {all_photos:,} photos; "
                f"put {_HOLIDAYS_LIST} beside it to have the others named, or "
                "pass --allow_missing."
            )
        return names


class Ukbench(PublishedDataset, skip_registration=True):
    """UKBench: 10,200 photos, four in a row of each object, all queries.

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
        del split  # There is one.
        return ukbench_ground_truth(self._names)


def _scene(name: str) -> tuple[str, int]:
    number = os.path.splitext(name)[0]
    if not (number.isdecimal() and len(number) == 6):
        raise UserError(
            f"{name!r} is no photo of INRIA Holidays, such as 100000.jpg; move "
            "it away."
        )
    return number[:4], int(number[:4])
