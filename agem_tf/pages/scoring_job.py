"""The job of scoring descriptors, from files to files."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.evaluation import sources
from agem_tf.evaluation.evaluating import (
    TOP,
    Evaluation,
    evaluate_descriptors,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols import find_protocol, fitting_protocol
from agem_tf.files.manifest import check_replaceable
from agem_tf.pages.photo_files import PhotoFolder
from agem_tf.pages.rank_lists import Photos
from agem_tf.pages.results import save_results
from agem_tf.pages.score_page import make_report
from agem_tf.retrieval import reranking


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is scored, and how.

    Attributes:
        descriptors: of the database, see `sources.load_descriptors`.
        queries: of the queries cropped to their boxes; None to look them up
            in the database.
        distractors: put behind the database.
        data_dir: prepared dataset with the ground truth.
        split: of that dataset.
        ground_truth: a file instead, see `sources`.
        labels: landmarks of the database, see `sources.ground_truth_of`.
        protocol: a name of `choice.PROTOCOLS`; None for the one that the
            dataset or the ground truth is made for.
        whitening: applied to all descriptors.
        dimension: kept of whitened descriptors.
        rerank: see `reranking.parse_rerank`.
        top: photos kept of each ranking.
        photos: folder of photos for the report; None for the dataset's.
        output: directory of the results; None writes nothing.
    """

    descriptors: str
    queries: str | None = None
    distractors: str | None = None
    data_dir: str | None = None
    split: str = "test"
    ground_truth: str | None = None
    labels: str | None = None
    protocol: str | None = None
    whitening: str | None = None
    dimension: int | None = None
    rerank: Sequence[str] = ()
    top: int = TOP
    photos: str | None = None
    output: str | None = None


def run(
    options: Options, load_photo: Callable[[Split, int], Image.Image]
) -> Evaluation:
    """Scores descriptors and writes the results.

    Args:
        options: see there.
        load_photo: reads a photo of a prepared dataset.

    Raises:
        UserError: a fault of the options or of a file. What can be told
            before the search is told before; existing results then stay.
    """
    steps = reranking.parse_rerank(options.rerank)
    _check(options)
    dataset = PreparedDataset(options.data_dir) if options.data_dir else None
    truth, protocol, sets = _load(options, dataset)
    evaluation = evaluate_descriptors(
        **sets,
        ground_truth=truth,
        protocol=options.protocol or protocol,
        rerank=functools.partial(reranking.transform, steps=steps),
        top=options.top,
        notes=dataset.manifest.get("notes", ()) if dataset else (),
    )
    if options.output is not None:
        photos = _photos(options, dataset, load_photo)
        _save(options, evaluation, sets["database"], photos)
    return evaluation


def _check(options: Options) -> None:
    if options.protocol is not None:
        find_protocol(options.protocol)
    for option, needed, reason in (
        ("dimension", "whitening", "only whitened descriptors are shortened"),
        ("labels", "ground_truth", "they are for a solution of GLDv2"),
        ("photos", "output", "they are for the report"),
    ):
        given = getattr(options, option) is not None
        if given and getattr(options, needed) is None:
            raise UserError(f"--{option} needs --{needed}: {reason}.")
    if options.data_dir and options.ground_truth:
        raise UserError(
            "--data_dir and --ground_truth both name a ground truth; give one."
        )
    if options.photos and not Path(options.photos).is_dir():
        raise UserError(
            f"No folder at {options.photos}; give --photos=DIRECTORY."
        )
    if options.output is not None:
        check_replaceable(Path(options.output))


def _load(
    options: Options, dataset: PreparedDataset | None
) -> tuple[GroundTruth, str, dict[str, DescriptorSet | None]]:
    """The ground truth, its protocol, and arguments that are descriptors."""
    truth, protocol = _known_truth(options, dataset)
    names = None if truth is None else truth.database_names
    database = sources.load_descriptors(options.descriptors, names)
    if truth is None:
        truth, protocol = sources.ground_truth_of(
            database.names,
            options.protocol,
            options.ground_truth,
            options.labels,
        )
    sets = {"database": database, "queries": None, "distractors": None}
    if options.queries:
        sets["queries"] = sources.load_descriptors(
            options.queries, truth.query_names
        )
    if options.distractors:
        sets["distractors"] = sources.load_distractors(options.distractors)
    return truth, protocol, _whiten(options, sets)


def _known_truth(
    options: Options, dataset: PreparedDataset | None
) -> tuple[GroundTruth | None, str | None]:
    """What needs no descriptors, and its protocol."""
    truth, protocol = None, None
    if dataset is not None:
        truth = dataset.ground_truth(options.split)
        protocol = dataset.manifest.get("protocol")
    elif options.ground_truth:
        truth = sources.load_ground_truth(options.ground_truth)
    if truth is not None and protocol is None:
        protocol = fitting_protocol(truth)
    return truth, protocol


def _whiten(
    options: Options, sets: dict[str, DescriptorSet | None]
) -> dict[str, DescriptorSet | None]:
    if options.whitening is None:
        return sets
    whitening = LinearWhitening.load(options.whitening)
    return {
        name: whitening.apply_to(each, options.dimension) if each else None
        for name, each in sets.items()
    }


def _save(
    options: Options,
    evaluation: Evaluation,
    database: DescriptorSet,
    photos: Photos,
) -> None:
    name = " ".join([str(options.descriptors), *options.rerank])
    provenance = {**database.provenance, "rerank": list(options.rerank)}
    report = make_report(evaluation, name, photos)
    save_results(options.output, evaluation, provenance, report)


def _photos(
    options: Options,
    dataset: PreparedDataset | None,
    load_photo: Callable[[Split, int], Image.Image],
) -> Photos:
    if options.photos is not None:
        return PhotoFolder(options.photos)
    if dataset is None:
        return lambda name: None
    split = dataset.split(options.split)
    position = {name: i for i, name in enumerate(split.names)}

    def find(name: str) -> Image.Image | None:
        place = position.get(name)
        return None if place is None else load_photo(split, place)

    return find
