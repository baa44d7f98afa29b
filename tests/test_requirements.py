"""The list for TPUs names what the list for everything else names."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def packages(name):
    lines = (ROOT / name).read_text().splitlines()
    names = (re.match(r"[\w-]+", line) for line in lines)
    return {match.group() for match in names if match}


def test_both_stacks_have_the_same_packages():
    common = packages("requirements.txt") - {"tensorflow"}
    tpu = packages("requirements-tpu.txt")
    assert tpu - common == {"tensorflow-tpu", "tensorflow-metadata"}
    assert common <= tpu
