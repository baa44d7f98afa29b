"""Apache Beam's RunInference beside a worker that gets whole parts.

    pip install '.[beam]'
    python experiments/benchmarks/beam_inference.py --photos=DIR

Both extract descriptors of the same photos by the same network, which is loaded
before, in one process of Beam's DirectRunner, in turn. Prints photos per
second, and how many descriptors equal those of one process without Beam, bit
by bit.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
import measuring
import numpy as np
from absl import app, flags
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from agem_tf.extraction.photo_files import BATCH, FileExtractor
from agem_tf.library.photo_models import model_for_photos
from agem_tf.photos.encoding import read_encoded_photo
from agem_tf.photos.listing import list_folder

_PHOTOS = flags.DEFINE_string(
    "photos", None, "Folder of photos.", required=True
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Longer side of a photo.")
_REPEATS = 3
# One worker in this process, which keeps the loaded network.
_OPTIONS = PipelineOptions(
    ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
)
_Named = tuple[str, np.ndarray]


def main(argv: list[str]) -> None:
    """Prints a row per way."""
    del argv
    paths = list_folder(_PHOTOS.value)
    measuring.SHARED["extractor"] = model_for_photos(
        image_size=_IMAGE_SIZE.value
    ).extractor()
    expected = dict(_describe(paths))
    ways: dict[str, Callable] = {
        "worker in a DoFn": _by_parts,
        "RunInference": _by_inference,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    equal = {}
    for _ in range(_REPEATS):
        for name, way in ways.items():
            found = measuring.SHARED["found"] = {}
            start = time.perf_counter()
            with beam.Pipeline(options=_OPTIONS) as pipeline:
                way(pipeline, paths) | beam.Map(_keep)
            seconds[name].append(time.perf_counter() - start)
            equal[name] = sum(
                np.array_equal(found[path], expected[path]) for path in paths
            )
    print("| way | photos per second | bit-equal |\n|---|---|---|")
    for name, taken in seconds.items():
        rate = len(paths) / min(taken)
        print(f"| {name} | {rate:.2f} | {equal[name]} of {len(paths)} |")


def _by_parts(
    pipeline: beam.Pipeline, paths: Sequence[str]
) -> beam.PCollection:
    parts = [paths[i : i + 2 * BATCH] for i in range(0, len(paths), 2 * BATCH)]
    return pipeline | beam.Create(parts) | beam.FlatMap(_describe)


def _by_inference(
    pipeline: beam.Pipeline, paths: Sequence[str]
) -> beam.PCollection:
    return pipeline | beam.Create(paths) | RunInference(_Handler())


class _Handler(ModelHandler):
    """Loads the network; Beam forms the batches."""

    def load_model(self) -> FileExtractor:
        return measuring.SHARED["extractor"]

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": BATCH, "max_batch_size": BATCH}

    def run_inference(
        self, batch: Sequence[str], model: FileExtractor, inference_args=None
    ) -> list[_Named]:
        del inference_args
        photos = [read_encoded_photo(path).encoded for path in batch]
        return list(zip(batch, model.encoded(photos), strict=True))


def _describe(paths: Sequence[str]) -> Iterator[_Named]:
    for batch, rows in measuring.SHARED["extractor"].files(paths):
        yield from zip(batch, rows, strict=True)


def _keep(named: _Named) -> None:
    path, row = named
    measuring.SHARED["found"][path] = row


if __name__ == "__main__":
    app.run(main)
