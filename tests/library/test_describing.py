"""Blocks of finished descriptors: many of them, and few maps of files."""

import pathlib

import numpy as np

from agem_tf.library import describing


class Extractor:
    """Describes a file by the number in its name."""

    provenance = {"model": "a1b2"}
    dimension = 3

    def __init__(self):
        self.extracted = []

    def files(self, paths, skip, positions):
        for path in paths:
            self.extracted.append(path)
            yield [path], np.full((1, 3), int(pathlib.Path(path).stem))


def block_maps():
    maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
    return sum("block-" in line for line in maps)


def test_many_blocks_are_read_through_few_maps(tmp_path, monkeypatch):
    monkeypatch.setattr(describing, "_BLOCK", 2)
    monkeypatch.setattr(describing, "_MAPPED", 5)
    photos, work = tmp_path / "photos", tmp_path / "work"
    photos.mkdir()
    work.mkdir()
    paths = [str(photos / f"{number}.jpg") for number in range(100)]
    for path in paths:
        pathlib.Path(path).write_bytes(b"photo")
    first = Extractor()
    # Killed after 60 photos; the order of the others is another one.
    describing.describe_photos(first, paths[:60], str(photos), work)
    counted = []
    write_rows = describing.write_rows

    def counting(path, blocks, *arguments):
        def watched():
            for block in blocks:
                counted.append(block_maps())
                yield block

        return write_rows(path, watched(), *arguments)

    monkeypatch.setattr(describing, "write_rows", counting)
    second = Extractor()
    found = describing.describe_photos(second, paths[::-1], str(photos), work)
    assert len(second.extracted) == 40
    assert len(list(work.glob("block-*.json"))) == 50
    assert found.photos.descriptors[:, 0].tolist() == list(range(100))[::-1]
    assert max(counted) <= 5
