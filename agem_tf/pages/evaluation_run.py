"""The evaluation behind `agem_tf.evaluate`: files in, numbers and a page out.

It is part of `pages` because it joins the numbers with the photos.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agem_tf.config import loading
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.evaluation.descriptor_files import (
    load_descriptors,
    load_distractors,
)
from agem_tf.evaluation.evaluating import (
    Evaluation,
    evaluate_answers,
    evaluate_descriptors,
    evaluate_feature_index,
    index_names,
    query_rows,
)
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.ground_truth_files import (
    derive_ground_truth,
    load_ground_truth,
)
from agem_tf.evaluation.places import Verify
from agem_tf.evaluation.protocols import find_protocol, fitting_protocol
from agem_tf.evaluation.results import KIND, write_numbers
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.locations import as_location
from agem_tf.files.manifest import check_replaceable, write_manifest
from agem_tf.files.provenance import check_same_provenance
from agem_tf.pages.photo_sources import (
    Photos,
    no_photos,
    photos_in_folder,
    photos_of_split,
    report_absence,
)
from agem_tf.pages.scores_page import scores_page
from agem_tf.retrieval import reranking
from agem_tf.retrieval.indexes import (
    ExactIndex,
    StoredIndex,
    check_all_descriptors,
    storage_at,
)
from agem_tf.retrieval.local_indexes import load_feature_index


def run_evaluation(options: Any) -> Evaluation:
    """Scores descriptors and writes the results.

    Args:
        options: an `agem_tf.evaluate.EvaluateOptions`.

    Raises:
        UserError: a fault of the options or of a file. Faults that can be
            found before the search are; existing results then stay.
    """
    steps, verification = reranking.split_verification(
        reranking.parse_rerank(options.rerank)
    )
    _check(options, verification)
    dataset = PreparedDataset(options.data_dir) if options.data_dir else None
    truth, protocol, sets = _load(options, dataset)
    verify = None
    if verification is not None:
        names = list(truth.database_names)
        if "distractors" in sets:
            names += sets["distractors"].names
        verify = _verification(options, verification, truth, names)
    evaluation = evaluate_descriptors(
        **sets,
        ground_truth=truth,
        protocol=protocol,
        rerank=functools.partial(reranking.transform, steps=steps),
        top=options.top,
        notes=dataset.manifest.get("notes", ()) if dataset else (),
        verify=verify,
    )
    if options.output is not None:
        photos = _photos(options, dataset, truth)
        name = " ".join([str(options.descriptors), *options.rerank])
        _save(options, name, evaluation, photos, sets["database"].provenance)
    return evaluation


def run_index_evaluation(
    options: Any,
    describe: Callable[[StoredIndex, Sequence[str]], np.ndarray],
) -> Evaluation:
    """Scores the answers of an index and writes the results.

    Args:
        options: an `agem_tf.evaluate.IndexEvaluateOptions`.
        describe: returns the (photos, dimension) descriptors of photos of an
            index that keeps none.

    Raises:
        UserError: see `run_evaluation`.
    """
    steps, verification = reranking.split_verification(
        reranking.parse_rerank(options.rerank)
    )
    _check(options, verification)
    dataset = PreparedDataset(options.data_dir) if options.data_dir else None
    stored = storage_at(options.index, options.model).open()
    index = stored.index
    index.tune(loading.parse_assignments(options.parameter))
    if steps:
        check_all_descriptors(index)
    truth, protocol = _load_truth(options, dataset)
    if truth is None:
        truth, protocol = derive_ground_truth(
            index.names(), options.protocol, options.ground_truth
        )
    settings = {
        "ground_truth": truth,
        "protocol": options.protocol or protocol,
        "top": options.top,
        "notes": dataset.manifest.get("notes", ()) if dataset else (),
    }
    if verification is not None:
        names = truth.database_names
        settings["verify"] = _verification(options, verification, truth, names)
    queries = None
    if options.queries:
        queries = load_descriptors(options.queries, truth.query_names)
        queries = stored.fitted(queries, options.queries)
    if isinstance(index, ExactIndex):
        database = DescriptorSet(
            index.names(), index.descriptors, stored.origin.provenance
        )
        evaluation = evaluate_descriptors(
            database,
            queries=queries,
            rerank=functools.partial(reranking.transform, steps=steps),
            **settings,
        )
    else:
        rows = query_rows(
            index,
            truth,
            queries,
            lambda photos: describe(stored, photos),
        )
        evaluation = evaluate_answers(index, rows, **settings)
    if options.output is not None:
        folder = stored.origin.photos
        if options.photos is None and dataset is None and folder is not None:
            photos = photos_in_folder(folder, not truth.has_boxes)
        else:
            photos = _photos(options, dataset, truth)
        name = " ".join([options.index, *options.rerank])
        _save(options, name, evaluation, photos, stored.origin.provenance)
    return evaluation


def run_feature_evaluation(options: Any) -> Evaluation:
    """Scores an index of local features and writes the results.

    Args:
        options: an `agem_tf.evaluate.FeatureEvaluateOptions`.

    Raises:
        UserError: see `run_evaluation`.
    """
    steps, verification = reranking.split_verification(
        reranking.parse_rerank(options.rerank)
    )
    if steps:
        raise UserError(
            "An index of local features has no descriptors to re-rank with; "
            "give --rerank=verify:100 alone."
        )
    _check(options, verification)
    dataset = PreparedDataset(options.data_dir) if options.data_dir else None
    truth, protocol = _load_truth(options, dataset)
    if truth is None:
        raise UserError(
            "The queries are named by a ground truth; give --data_dir=DIR or "
            "--ground_truth=FILE."
        )
    index = load_feature_index(options.local_index)
    verify = None
    if verification is not None:
        names = index_names(index, truth)
        verify = _verification(options, verification, truth, names)
    evaluation = evaluate_feature_index(
        index,
        LocalFeatureSet.load(options.query_features),
        truth,
        options.protocol or protocol,
        options.top,
        dataset.manifest.get("notes", ()) if dataset else (),
        verify,
    )
    if options.output is not None:
        photos = _photos(options, dataset, truth)
        name = " ".join([options.local_index, *options.rerank])
        _save(options, name, evaluation, photos, index.provenance)
    return evaluation


def _check(
    options: Any, verification: reranking.SpatialVerification | None
) -> None:
    if verification is None and options.local_features:
        raise UserError(
            "--local_features is for --rerank=verify, which is not given."
        )
    if verification is not None and not options.local_features:
        raise UserError(
            "--rerank=verify needs --local_features=DIR; write them with "
            "agem_tf.extract --local=xfeat."
        )
    if options.protocol is not None:
        find_protocol(options.protocol)
    if options.data_dir and options.ground_truth:
        raise UserError(
            "--data_dir and --ground_truth both name a ground truth; give one."
        )
    if options.photos and not Path(options.photos).is_dir():
        raise UserError(
            f"No folder at {options.photos}; give --photos=DIRECTORY."
        )
    if options.output is not None:
        check_replaceable(as_location(options.output, "--output"))


def _load(
    options: Any, dataset: PreparedDataset | None
) -> tuple[GroundTruth, str, dict[str, DescriptorSet]]:
    """Returns the ground truth, its protocol and the descriptor sets."""
    truth, protocol = _load_truth(options, dataset)
    names = None if truth is None else truth.database_names
    sets = {"database": load_descriptors(options.descriptors, names)}
    if truth is None:
        truth, protocol = derive_ground_truth(
            sets["database"].names,
            options.protocol,
            options.ground_truth,
            options.labels,
        )
    if options.queries:
        sets["queries"] = load_descriptors(options.queries, truth.query_names)
    if options.distractors:
        sets["distractors"] = load_distractors(options.distractors)
    if options.whitening is not None:
        whitening = LinearWhitening.load(options.whitening)
        sets = {
            name: whitening.apply_to(each, options.dimension)
            for name, each in sets.items()
        }
    return truth, options.protocol or protocol, sets


def _load_truth(
    options: Any, dataset: PreparedDataset | None
) -> tuple[GroundTruth | None, str | None]:
    """Returns the ground truth and its protocol, None if a file has none."""
    if dataset is not None:
        return (
            dataset.ground_truth(options.split),
            dataset.protocol(options.split),
        )
    truth = None
    if options.ground_truth:
        truth = load_ground_truth(options.ground_truth)
    return truth, fitting_protocol(truth) if truth else None


def _photos(
    options: Any, dataset: PreparedDataset | None, truth: GroundTruth
) -> Photos:
    if options.photos is not None:
        return photos_in_folder(options.photos, not truth.has_boxes)
    if dataset is not None:
        return photos_of_split(dataset.split(options.split))
    return no_photos


def _verification(
    options: Any,
    step: reranking.SpatialVerification,
    truth: GroundTruth,
    names: Sequence[str],
) -> Verify:
    """Returns what verifies the order of a query by stored local features."""
    database = LocalFeatureSet.load(options.local_features)
    queries = database
    if options.query_features:
        queries = LocalFeatureSet.load(options.query_features)
        check_same_provenance(
            queries.provenance,
            database.provenance,
            options.query_features,
            options.local_features,
        )
    elif truth.has_boxes:
        raise UserError(
            "The queries of this ground truth are boxes in photos; write their "
            "local features as those of the photos, with --queries, and give "
            "--query_features=DIR."
        )
    # Before hours of verification.
    database.check_has(names)
    queries.check_has(truth.query_names)

    def verify(query: int, order: np.ndarray) -> np.ndarray:
        order, _ = step.reorder(
            queries[truth.query_names[query]],
            lambda photo: database[names[photo]],
            order,
        )
        return order

    return verify


def _save(
    options: Any,
    name: str,
    evaluation: Evaluation,
    photos: Photos,
    provenance: Mapping[str, Any],
) -> None:
    """Writes numbers and page together, or not at all."""
    provenance = {**provenance, "rerank": list(options.rerank)}
    with atomic_directory(options.output) as directory:
        write_numbers(directory, evaluation, provenance)
        page = scores_page(evaluation, name, photos)
        if options.photos is not None:
            tiles = (tile for each in page.rank_lists for tile in each.tiles)
            shown = {tile.name: tile.photo for tile in tiles}
            report_absence(shown, options.photos, "photos")
        page.save(directory / "report.html")
        write_manifest(directory, KIND)
