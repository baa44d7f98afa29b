"""Results and failures of the process that compiles."""

import json
import sys
import textwrap

import pytest

from agem_tf.compilation.compiler import Compiler, Costs, Target, read_refusal
from agem_tf.compilation.roofline import parse_topology
from agem_tf.errors import UserError

TOPOLOGY = parse_topology("v4:2x2x1")
GIB = 2**30


@pytest.fixture
def make_python(tmp_path):
    """Returns a function that writes a stand-in for the compiler's Python.

    It runs the given lines, which find the script's flags in `flags`, where the
    real one would run the script.
    """

    def make(lines):
        path = tmp_path / "python"
        path.write_text(
            f"#!{sys.executable}\nimport json, pathlib, sys\n"
            "if '-c' in sys.argv: sys.exit(0)\n"
            "flags = [a for a in sys.argv[3:] if a.startswith('--')]\n"
            "flags = dict(a[2:].partition('=')[::2] for a in flags)\n"
            + textwrap.dedent(lines)
        )
        path.chmod(0o755)
        return str(path)

    return make


def answering(answer):
    return (
        f"answer = json.loads({json.dumps(answer)!r})\n"
        "pathlib.Path(flags['result']).write_text(json.dumps(answer))\n"
    )


@pytest.mark.parametrize("python", ["missing/bin/python", sys.executable])
def test_an_environment_without_the_compiler_is_named(python):
    with pytest.raises(UserError, match="requirements-tpu-compiler.txt"):
        Compiler(python)


def test_memory_is_what_is_needed_at_once(make_python):
    costs = {"flops": 3.0, "held": 7, "temporary": 11, "code": 13}
    # Reads 4 bytes and writes 1.
    costs["program"] = (
        "ENTRY %main (p: f32[]) -> s8[] {\n"
        "  %p = f32[] parameter(0)\n"
        "  ROOT %r = s8[] convert(f32[] %p)\n}\n"
    )
    python = make_python(answering({"costs": costs}))
    assert Compiler(python).compile("module", TOPOLOGY) == Costs(
        3.0, 5, memory=31, fixed=20
    )


def test_the_compiler_gets_the_program_and_the_chip(make_python):
    python = make_python(
        """
        module = pathlib.Path(sys.argv[-1]).read_text()
        words = [flags["topology"], flags["configuration"], module]
        answer = json.dumps({"refusal": " ".join(words)})
        pathlib.Path(flags["result"]).write_text(answer)
        """
    )
    refusal = Compiler(python).compile("a_program", TOPOLOGY)
    assert refusal.reason == "v4:2x2x1 megacore a_program"


def test_a_crash_of_the_compiler_is_a_refusal(make_python):
    python = make_python("sys.exit('F0000 Check failed: a bug')")
    refusal = Compiler(python).compile("module", TOPOLOGY)
    assert "status 1: F0000 Check failed: a bug" in refusal.reason
    assert refusal.memory is None


def test_a_topology_that_does_not_exist_is_a_user_error(make_python):
    python = make_python(answering({"refusal": "INVALID: not divisible"}))
    with pytest.raises(UserError, match="v4:2x2x1: INVALID: not divisible"):
        Compiler(python).target(TOPOLOGY)


def test_each_chip_is_a_replica_by_default(make_python):
    python = make_python(answering({"compiler": "libtpu 1", "replicas": 4}))
    assert Compiler(python).target(TOPOLOGY) == Target(TOPOLOGY, "libtpu 1", 4)
    assert Compiler(python).target(TOPOLOGY, replicas=2).replicas == 2


@pytest.mark.parametrize(
    ("message", "gibibytes"),
    [
        ("RESOURCE_EXHAUSTED: in hbm. Used 52.16G of 31.25G hbm. More", 52.16),
        ("unlikely to fit. Requires 223.53G, has 14.96G available.", 223.53),
        ("Used 1536.00M of 1024.00M hbm", 1.5),
    ],
)
def test_a_refusal_for_memory_says_how_much(message, gibibytes):
    refusal = read_refusal(message + "\n\nTotal hbm usage >= 1.0G")
    assert refusal.reason == message
    assert refusal.memory == pytest.approx(gibibytes * GIB)


def test_memory_of_the_core_is_not_that_of_the_chip():
    message = "Ran out of memory in memory space vmem. Used 20.5M of 16.0M vmem"
    assert read_refusal(message).memory is None
