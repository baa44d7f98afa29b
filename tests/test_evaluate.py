"""The command that scores descriptors."""

import csv
import json
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from agem_tf import evaluate, prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.revisited import evaluate_revisited
from agem_tf.files.remote_directories import upload
from agem_tf.retrieval.indexes import Origin, storage_at
from agem_tf.retrieval.ranking import Ranking
from agem_tf.retrieval.reranking import parse_rerank, rerank

_MADE = {"model": "a1b2", "scales": [1.0]}


def _normalized(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")


@pytest.fixture
def files(tmp_path):
    """Twenty photos of five landmarks, three of them hard, two queries."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 5
    centres = rng.normal(size=(5, 7))
    rows = _normalized(centres[labels] + 0.8 * rng.normal(size=(20, 7)))
    names = [f"place{label}/{i}.jpg" for i, label in enumerate(labels)]
    queries = _normalized(centres[:2])
    truth = GroundTruth(
        names,
        ["q0", "q1"],
        [
            QueryTruth([0, 5], [10], [15], (0, 0, 5, 6)),
            QueryTruth([1], [6, 11], [], (1, 1, 4, 4)),
        ],
    )
    DescriptorSet(names, rows, _MADE).save(tmp_path / "database")
    DescriptorSet(["q0", "q1"], queries, _MADE).save(tmp_path / "queries")
    truth.save(tmp_path / "truth.json")
    np.save(tmp_path / "rows.npy", rows.astype(np.float16))
    np.save(tmp_path / "queries.npy", queries)
    return types.SimpleNamespace(
        rows=rows,
        queries=queries,
        truth=truth,
        sets={
            "descriptors": str(tmp_path / "database"),
            "queries": str(tmp_path / "queries"),
            "ground_truth": str(tmp_path / "truth.json"),
        },
        arrays={
            "descriptors": str(tmp_path / "rows.npy"),
            "queries": str(tmp_path / "queries.npy"),
            "ground_truth": str(tmp_path / "truth.json"),
        },
    )


@pytest.mark.parametrize(
    ("place", "message"),
    [("gs://bucket/photos", "holds a.jpg"), ("gs://bucket", "is a bucket")],
)
def test_a_remote_place_of_others_is_refused_before_the_search(
    place, message, tmp_path, object_store
):
    (tmp_path / "a.jpg").write_bytes(b"a photo")
    upload(tmp_path / "a.jpg", "gs://bucket/photos/a.jpg")
    with pytest.raises(UserError, match=message):
        evaluate.main(
            evaluate.EvaluateOptions(
                descriptors="not read",
                ground_truth="not read either",
                output=place,
            )
        )


def test_re_ranking_is_scored_and_recorded(files, tmp_path):
    specifications = ["dba:3,1", "qe:2,0"]
    evaluate.main(
        evaluate.EvaluateOptions(
            **files.sets, rerank=specifications, output=str(tmp_path / "scores")
        )
    )
    expected = rerank(files.queries, files.rows, parse_rerank(specifications))
    assert not np.array_equal(expected, rerank(files.queries, files.rows))
    ranking = Ranking.load(tmp_path / "scores" / "ranking")
    np.testing.assert_array_equal(ranking.ranks, expected)
    assert ranking.provenance == {**_MADE, "rerank": specifications}
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_bytes())
    scores = evaluate_revisited(expected, files.truth)
    for part in ("easy", "medium", "hard"):
        value = getattr(scores, part).mean_average_precision
        assert metrics["scores"][part]["map"] == pytest.approx(value)
    assert metrics["protocol"] == "revisited"


@pytest.mark.parametrize("step", ["diffusion:2,3", "k_reciprocal:6,3"])
def test_a_final_ranking_is_scored(files, step):
    evaluation = evaluate.main(
        evaluate.EvaluateOptions(**files.sets, rerank=[step])
    )
    expected = rerank(files.queries, files.rows, parse_rerank([step]))
    np.testing.assert_array_equal(evaluation.ranks, expected)


def test_plain_arrays_are_scored_as_descriptor_sets(files):
    of_sets = evaluate.main(evaluate.EvaluateOptions(**files.sets))
    of_arrays = evaluate.main(evaluate.EvaluateOptions(**files.arrays))
    np.testing.assert_array_equal(of_sets.ranks, of_arrays.ranks)
    np.testing.assert_allclose(
        of_sets.similarities, of_arrays.similarities, atol=2e-3
    )


@pytest.fixture
def stored_at(files, tmp_path):
    """Function that makes an index of the database, by its kind and place."""

    def make(factory, place=None):
        place = place or str(tmp_path / factory)
        database = DescriptorSet.load(files.sets["descriptors"])
        with storage_at(place).created() as draft:
            index = draft.start(factory, 7, Origin(_MADE))
            index.add(database.names, database.descriptors)
        return place

    return make


@pytest.mark.parametrize(
    "factory", ["exact", "Flat", "HNSW16", "IVF2,Flat", "milvus"]
)
def test_an_index_is_scored_by_what_it_finds(
    files, stored_at, tmp_path, factory
):
    """All these kinds find every photo here."""
    if factory == "milvus":
        pytest.importorskip("milvus_lite")
        place = stored_at("exact", f"milvus:{tmp_path}/photos.db")
    else:
        if factory != "exact":
            pytest.importorskip("faiss")
        place = stored_at(factory)
    settings = {
        "queries": files.sets["queries"],
        "ground_truth": files.sets["ground_truth"],
    }
    parameter = ("nprobe=2",) if "IVF" in factory else ()
    expected = evaluate.main(evaluate.EvaluateOptions(**files.sets))
    output = str(tmp_path / "scores")
    found = evaluate.main(
        evaluate.IndexEvaluateOptions(
            index=place, parameter=parameter, output=output, **settings
        )
    )
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    np.testing.assert_allclose(
        found.similarities, expected.similarities, atol=1e-3
    )
    means = [
        each.scores.medium.mean_average_precision for each in (found, expected)
    ]
    assert means[0] == means[1]
    # What it wrote can be compared.
    comparison = evaluate.main(
        evaluate.CompareOptions(compare=f"{output},{output}")
    )
    assert not comparison.changed_queries()
    reranked = evaluate.IndexEvaluateOptions(
        index=place, rerank=("qe:2",), **settings
    )
    if factory == "exact":
        expected = evaluate.main(
            evaluate.EvaluateOptions(**files.sets, rerank=("qe:2",))
        )
        ranks = evaluate.main(reranked).ranks
        np.testing.assert_array_equal(ranks, expected.ranks)
    else:
        with pytest.raises(
            UserError, match="needs all of them; .* in a directory"
        ):
            evaluate.main(reranked)


def test_what_an_approximate_index_does_not_find_is_not_scored(
    files, stored_at
):
    pytest.importorskip("faiss")
    settings = {
        "index": stored_at("IVF5,Flat"),
        "queries": files.sets["queries"],
        "ground_truth": files.sets["ground_truth"],
    }
    every, one = (
        evaluate.main(
            evaluate.IndexEvaluateOptions(
                **settings, parameter=(f"nprobe={cells}",)
            )
        )
        for cells in (5, 1)
    )
    assert every.ranks.shape[1] == 20 > one.ranks.shape[1]
    mean = "mean_average_precision"
    assert getattr(one.scores.medium, mean) < getattr(every.scores.medium, mean)


def test_distractors_lower_the_scores(files, tmp_path):
    near = _normalized(np.repeat(files.queries, 20, axis=0) + 0.1)
    np.save(tmp_path / "distractors.npy", near)
    alone = evaluate.main(evaluate.EvaluateOptions(**files.arrays))
    among = evaluate.main(
        evaluate.EvaluateOptions(
            **files.arrays, distractors=str(tmp_path / "distractors.npy"), top=9
        )
    )
    assert among.ranks.shape == (2, 9)
    assert (
        among.scores.medium.mean_average_precision
        < alone.scores.medium.mean_average_precision / 2
    )


def test_folders_are_groups(files):
    evaluation = evaluate.main(
        evaluate.EvaluateOptions(
            descriptors=files.sets["descriptors"], protocol="leave_one_out"
        )
    )
    assert len(evaluation.ground_truth.queries) == 20
    assert all(len(q.positives) == 3 for q in evaluation.ground_truth.queries)


def test_a_solution_of_google_landmarks_chooses_its_protocol(files, tmp_path):
    """Photos are identified by their file names, here 0 to 19."""
    path = tmp_path / "solution.csv"
    path.write_text("id,images,Usage\nq0,0 5,Public\nq1,6,Private\n")
    evaluation = evaluate.main(
        evaluate.EvaluateOptions(**files.sets | {"ground_truth": str(path)})
    )
    assert evaluation.protocol == "gldv2"
    positives = [q.easy.tolist() for q in evaluation.ground_truth.queries]
    assert positives == [[0, 5], [6]]


def test_a_whitening_is_applied_unless_its_scales_differ(files, tmp_path):
    rng = np.random.default_rng(1)
    mean, projection = rng.normal(size=7), rng.normal(size=(7, 7))
    for name, scales in (("same", [1.0]), ("other", [1.0, 0.5])):
        made = {"model": "a1b2", "scales": scales}
        LinearWhitening(mean, projection, "pca", made).save(tmp_path / name)
    with pytest.raises(UserError, match="differ in scales"):
        evaluate.main(
            evaluate.EvaluateOptions(
                **files.sets, whitening=str(tmp_path / "other")
            )
        )
    evaluation = evaluate.main(
        evaluate.EvaluateOptions(
            **files.sets, whitening=str(tmp_path / "same"), dimension=4
        )
    )
    whitening = LinearWhitening(mean, projection, "pca")
    np.testing.assert_array_equal(
        evaluation.ranks,
        rerank(
            whitening.apply(files.queries, 4), whitening.apply(files.rows, 4)
        ),
    )


def test_a_folder_without_the_photos_of_the_report_is_reported(
    files, tmp_path, caplog
):
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    evaluate.main(
        evaluate.EvaluateOptions(
            **files.sets, photos=str(photos), output=str(output)
        )
    )
    (line,) = caplog.messages
    assert f"photos is in {photos}" in line
    assert "--photos=DIR" in line
    assert (output / "report.html").exists()


def test_the_report_shows_photos_of_a_folder(files, tmp_path):
    photo = tmp_path / "photos" / "place0" / "0.jpg"
    photo.parent.mkdir(parents=True)
    Image.new("RGB", (30, 20), "red").save(photo)
    evaluate.main(
        evaluate.EvaluateOptions(
            **files.sets,
            photos=str(tmp_path / "photos"),
            output=str(tmp_path / "out"),
        )
    )
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<img alt="place0/0.jpg"' in page
    assert '<span class="name">q0</span>' in page
    with (tmp_path / "out" / "per_query.csv").open() as file:
        assert [row["query"] for row in csv.DictReader(file)] == ["q0", "q1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 4}, "--dimension needs --whitening"),
        ({"labels": "l.csv", "ground_truth": None}, "--labels needs --ground"),
        ({"photos": "photos"}, "--photos needs --output"),
        ({"photos": "gone", "output": "out"}, "No folder at gone"),
        ({"data_dir": "data"}, "--data_dir and --ground_truth both"),
        ({"protocol": "rparis"}, "Unknown protocol 'rparis'"),
        (
            {"rerank": ["qe:21"]},
            "QueryExpansion needs num_neighbours=21, .* 20",
        ),
        ({"queries": None}, "boxes in photos"),
        ({"ground_truth": None}, "give --data_dir or --ground_truth"),
    ],
)
def test_conflicting_options_are_refused(files, options, message):
    with pytest.raises(UserError, match=message):
        evaluate.main(evaluate.EvaluateOptions(**files.sets | options))


def test_a_failed_evaluation_keeps_the_earlier_results(files, tmp_path):
    output = str(tmp_path / "out")
    evaluate.main(evaluate.EvaluateOptions(**files.sets, output=output))
    before = (tmp_path / "out" / "metrics.json").read_bytes()
    with pytest.raises(UserError, match="needs num_neighbours=99"):
        evaluate.main(
            evaluate.EvaluateOptions(
                **files.sets, output=output, rerank=["dba:99"]
            )
        )
    assert (tmp_path / "out" / "metrics.json").read_bytes() == before
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=r"holds mine\.txt"):
        evaluate.main(evaluate.EvaluateOptions(**files.sets, output=output))


_TERMINATED = """
import os, signal, sys
from agem_tf import cli, evaluate
from agem_tf.pages import evaluation_run

write_manifest = evaluation_run.write_manifest

def write_and_terminate(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    write_manifest(*arguments, **options)

evaluation_run.write_manifest = write_and_terminate
cli.run(evaluate.main, evaluate.EvaluateOptions)
"""


def test_sigterm_leaves_the_earlier_results(files, tmp_path):
    output = tmp_path / "scores"
    evaluate.main(evaluate.EvaluateOptions(**files.sets, output=str(output)))
    before = (output / "metrics.json").read_bytes()
    arguments = [f"--{key}={value}" for key, value in files.sets.items()]
    arguments += [f"--output={output}", "--rerank=qe:3,0"]
    ended = subprocess.run([sys.executable, "-c", _TERMINATED, *arguments])
    assert ended.returncode == -signal.SIGTERM
    assert (output / "metrics.json").read_bytes() == before
    evaluate.main(
        evaluate.EvaluateOptions(
            **files.sets, output=str(output), rerank=("qe:3,0",)
        )
    )
    assert (output / "metrics.json").read_bytes() != before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def _command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "agem_tf.evaluate", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_prints_a_table(files):
    result = _command(
        *(f"--{name}={value}" for name, value in files.sets.items())
    )
    assert result.returncode == 0, result.stderr
    header, row, interval = result.stdout.splitlines()
    assert interval.startswith("mAP medium, 95 % over 2 queries: ")
    assert header.split()[:3] == ["descriptors", "mAP", "easy"]
    assert row.startswith(files.sets["descriptors"])


def test_an_unknown_step_is_reported_before_anything_is_read():
    result = _command(
        "--descriptors=none",
        "--data_dir=none",
        "--rerank=dba:20,1",
        "--rerank=aqe",
    )
    assert result.returncode == 2
    (message,) = result.stderr.splitlines()
    assert message.startswith("error: Unknown re-ranking 'aqe'. Known: dba")


@pytest.fixture
def compared(files, tmp_path):
    """Two evaluations of the fixture's descriptors, the second re-ranked."""
    paths = [str(tmp_path / name) for name in ("plain", "re-ranked")]
    for path, steps in zip(paths, ([], ["qe:2,0"]), strict=True):
        evaluate.main(
            evaluate.EvaluateOptions(**files.sets, rerank=steps, output=path)
        )
    return paths


def test_two_evaluations_are_compared_query_by_query(compared, capsys):
    options = evaluate.CompareOptions(compare=",".join(compared))
    comparison = evaluate.main(options)
    assert [part.part for part in comparison.parts] == [
        *("easy", "medium", "hard")
    ]
    rows = [
        list(csv.DictReader(open(f"{path}/per_query.csv"))) for path in compared
    ]
    first, second = (
        [float(row["ap_medium"]) for row in table] for table in rows
    )
    np.testing.assert_allclose(comparison.main.first, first, atol=1e-5)
    np.testing.assert_allclose(comparison.main.second, second, atol=1e-5)
    low, high = comparison.main.interval
    difference = np.mean(second) - np.mean(first)
    assert low <= difference <= high
    printed = capsys.readouterr().out
    assert f"B: {compared[1]}" in printed
    assert f"{100 * difference:+.1f}" in printed


def test_the_page_of_a_comparison_shows_both_rank_lists(tmp_path, compared):
    photos = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("a/1", "a/2", "b/1", "b/2", "c/1", "c/2"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{name}.png")
    data = str(tmp_path / "data")
    prepare.main(
        prepare.PrepareOptions(
            source=str(photos), data_dir=data, option=("test=1.0",)
        )
    )
    names = PreparedDataset(data).split("test").names
    for label in "AB":
        rows = _normalized(rng.normal(size=(len(names), 5)))
        DescriptorSet(names, rows, _MADE).save(tmp_path / f"set {label}")
        evaluate.main(
            evaluate.EvaluateOptions(
                descriptors=str(tmp_path / f"set {label}"),
                data_dir=data,
                output=str(tmp_path / label),
            )
        )
    page = tmp_path / "compared.html"
    comparison = evaluate.main(
        evaluate.CompareOptions(
            compare=f"{tmp_path / 'A'},{tmp_path / 'B'}",
            data_dir=data,
            output=str(page),
        )
    )
    assert [part.part for part in comparison.parts] == ["all"]
    (name, first, *_), *_ = comparison.changed_queries()
    assert f"{name}, A: {first:.1f} %" in page.read_text()
    assert "data:image/jpeg" in page.read_text()
    with pytest.raises(UserError, match="other photos than those of --data_d"):
        evaluate.main(
            evaluate.CompareOptions(
                compare=",".join(compared),
                data_dir=data,
                output=str(tmp_path / "other.html"),
            )
        )


def test_evaluations_that_differ_in_kind_are_not_compared(
    compared, files, tmp_path
):
    with pytest.raises(UserError, match="two evaluations, A,B"):
        evaluate.main(evaluate.CompareOptions(compare=compared[0]))
    other = str(tmp_path / "other")
    evaluate.main(
        evaluate.EvaluateOptions(**files.sets, protocol="oxford", output=other)
    )
    options = evaluate.CompareOptions(compare=f"{compared[0]},{other}")
    with pytest.raises(UserError, match="different protocols"):
        evaluate.main(options)
    options = evaluate.CompareOptions(compare=f"{compared[0]},{tmp_path}")
    with pytest.raises(UserError, match="manifest.json"):
        evaluate.main(options)
    options = evaluate.CompareOptions(
        compare=",".join(compared), output=str(tmp_path / "page.html")
    )
    with pytest.raises(UserError, match="--data_dir"):
        evaluate.main(options)
