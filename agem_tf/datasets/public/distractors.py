"""Photos that no query asks for: R1M and Oxford's 100,000."""

import os
from collections.abc import Iterator, Mapping

import tensorflow as tf

from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.photos.listing import ListedPhoto
from agem_tf.photos.reading import SUFFIXES

_SPLIT = "distractors"


class Revisitop1m(PublishedDataset, skip_registration=True):
    """The million distractors of revisited Oxford and Paris, R1M.

    revisitop1m.txt, the list, and jpg/. Their descriptors are searched after
    those of the database (https://arxiv.org/abs/1803.11285). Some of the
    photos are truncated: prepare them with --skip_bad.
    """

    published_photos = {_SPLIT: 1_001_001}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        with tf.io.gfile.GFile(self.find("revisitop1m.txt")) as file:
            names = file.read().split()
        folder = self.path("jpg")
        return {
            _SPLIT: [ListedPhoto(f"{folder}/{name}", name) for name in names]
        }


class Oxford100k(PublishedDataset, skip_registration=True):
    """Oxford's 100,071 distractors of Flickr, as folders of photos.

    There is no list, so whatever lies below `source` is taken. They make
    Oxford105k of Oxford5k, and Paris106k of Paris6k.
    """

    published_photos = {_SPLIT: 100_071}

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        return {
            _SPLIT: [
                ListedPhoto(path, path.removeprefix(f"{self.source}/"))
                for path in self._files()
            ]
        }

    def _files(self) -> Iterator[str]:
        for folder, subfolders, names in tf.io.gfile.walk(self.source):
            subfolders.sort()
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in SUFFIXES:
                    yield os.path.join(folder, name)
