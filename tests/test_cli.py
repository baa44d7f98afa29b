"""Commands answer at once, and a mistake is one line and status 2."""

import subprocess
import sys

import pytest

COMMANDS = (
    "train prepare extract whiten evaluate export convert visualize index "
    "search tpu_check"
).split()


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_does_not_wait_for_tensorflow(command):
    code = (
        f"import sys, agem_tf.{command}; "
        "heavy = {'tensorflow', 'keras', 'jax', 'matplotlib'}; "
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_shows_the_flags():
    result = run("agem_tf.train", "--help")
    assert result.returncode == 0
    assert "--workdir" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["agem_tf.train", "--confg=x"],
        ["agem_tf.train", "--strategy=tpus"],
        ["agem_tf.train", "extra"],
        ["agem_tf.train", "--config=missing.py"],
        ["agem_tf.train", "--set=model.backbone=resnet51"],
        ["agem_tf.tpu_check", "--topology=v9:2x2"],
        ["agem_tf.tpu_check", "--compiler_python=missing"],
        ["agem_tf.extract", "--output=x"],
        ["agem_tf.extract", "--workdir=x", "--output=y", "--scales=a"],
        ["agem_tf.extract", "--workdir=missing", "--output=y"],
        ["agem_tf.export", "--workdir=missing", "--output=y"],
        ["agem_tf.evaluate", "--descriptors=missing", "--data_dir=missing"],
        ["agem_tf.whiten", "--descriptors=missing", "--output=y"],
        ["agem_tf.prepare", "--source=missing", "--data_dir=y"],
        ["agem_tf.prepare", "--data_dir=y"],
        ["agem_tf.index", "--photos=missing"],
        ["agem_tf.index", "--photos=missing", "--index=y"],
        ["agem_tf.index", "--remove=a.jpg", "--index=missing"],
        ["agem_tf.index", "--photos=.", "--index=y", "--box=1,2,3,4"],
        ["agem_tf.search", "photo.jpg"],
        ["agem_tf.search", "photo.jpg", "--index=missing", "--top=3"],
        ["agem_tf.search", "--index=missing"],
        ["agem_tf.search", "a.jpg", "--index=milvus:missing"],
        [
            "agem_tf.visualize",
            "--workdir=missing",
            "--descriptors=x",
            "--output=y",
        ],
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert not any(tmp_path.iterdir())
