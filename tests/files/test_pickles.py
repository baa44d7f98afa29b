"""Pickles are data: they come back equal, and hostile ones do nothing."""

import collections
import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.pickles import Call, interpret_pickle, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ARRAYS = [
    np.arange(6, dtype="<i8").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array([1.5, -2.0], ">f4"),
    np.array([True, False]),
    np.array([250, 3], "u1"),
    np.array([1, 2], "f2"),
    np.array(["ab", "ç\u2028"]),
    np.array([b"ab", b"\xff"]),
    np.zeros((0, 4)),
    np.array(7),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol):
    names = ["a", "é\n", ""]
    value = {
        "numbers": [0, -1, 255, 65536, 2**40, -(2**63), 1.5, True, None],
        "texts": (names, tuple(names), b"", b"\xff\x00", "'\\x41"),
        7: [[], {}, (), [names, names]],
        "ordered": collections.OrderedDict(b=1, a=2),
    }
    assert read_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}")
def test_arrays_and_scalars_come_back(array, protocol):
    scalar = array.ravel()[0] if array.size else np.float32(0.5)
    value = {"array": array, "again": [array], "scalar": scalar}
    read = read_pickle(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(read["array"], array)
    assert read["array"].dtype == array.dtype
    assert read["again"][0] is read["array"]
    assert read["scalar"] == scalar and type(read["scalar"]) is type(scalar)


def test_arrays_of_python_2_come_back():
    """There the bytes are a text of protocol 0, with escapes."""
    content = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\n"
        b"tR(I1\n(I2\ntcnumpy\ndtype\n(S'i2'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1"
        b"\nI0\ntbI00\nS'\\xff\\x00\\x02\\x01'\ntb."
    )
    np.testing.assert_array_equal(read_pickle(content), [255, 258])
    np.testing.assert_array_equal(
        pickle.loads(content, encoding="latin1"), [255, 258]
    )


def test_arrays_share_their_type_in_one_pickle():
    first, second = np.arange(3.0), np.arange(4.0).reshape(2, 2)
    stream = io.BytesIO(pickle.dumps({"m": first, "P": second}, 2))
    read = interpret_pickle(stream)
    np.testing.assert_array_equal(read["m"], first)
    np.testing.assert_array_equal(read["P"], second)


@pytest.mark.parametrize(
    "value", [np.array([{}, {}]), np.zeros(2, "M8[s]"), np.ones(2, complex)]
)
def test_a_checkpoint_keeps_other_arrays_as_calls(value):
    content = pickle.dumps({"x": value, "y": 1}, 2)
    read = interpret_pickle(io.BytesIO(content))
    assert isinstance(read["x"], Call) and read["y"] == 1
    with pytest.raises(UserError, match="other than numbers or texts"):
        read_pickle(content)


def _array(shape, data=bytes(24)):
    """An array of three floats whose shape was changed."""
    item_type = _call("numpy", "dtype", (b"U\x02f8", 0, 1))
    item_type += _tuple(3, b"U\x01<", None, None, None, -1, -1, 0) + b"b"
    made = _call(
        "numpy.core.multiarray",
        "_reconstruct",
        (b"cnumpy\nndarray\n", (0,), b"U\x01b"),
    )
    return made + _tuple(1, shape, item_type, False, data) + b"b"


def _tuple(*values):
    return b"(" + b"".join(map(_value, values)) + b"t"


def _value(value):
    """The opcodes of a value; bytes are opcodes already, unless zeros."""
    if isinstance(value, bytes) and value.strip(b"\0"):
        return value
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, tuple):
        return _tuple(*value)
    return pickle.dumps(value, 2)[2:-1]


def _call(module, name, arguments):
    return f"c{module}\n{name}\n".encode() + _tuple(*arguments) + b"R"


def test_the_array_that_the_hostile_ones_vary_is_read():
    np.testing.assert_array_equal(read_pickle(_array((3,)) + b"."), np.zeros(3))


@pytest.mark.parametrize(
    "shape",
    [(4,), (10**9,) * 2, (-1,), ("a",), 7, (10**600,) * 1000, (0, 10**9)],
)
def test_sizes_that_are_not_those_of_the_bytes_are_refused(shape):
    with pytest.raises(UserError, match=r"an array|too large|is damaged"):
        read_pickle(_array(shape) + b".")
    left = interpret_pickle(io.BytesIO(_array(shape) + b"."))
    assert isinstance(left, Call)


def test_an_array_without_its_state_is_refused():
    made = _call(
        "numpy.core.multiarray", "_reconstruct", (b"cnumpy\nndarray\n",)
    )
    for state in (b"", b"Nb", b")b", b"(K\x01tb"):
        with pytest.raises(UserError, match="damaged|other than plain"):
            read_pickle(made + state + b".")


_NDARRAY = b"cnumpy\nndarray\n"
_BIG = 10_000


def _state(*values):
    """A dtype with a state of the file's choice."""
    item_type = _call("numpy", "dtype", (b"U\x02V8", 0, 1))
    return item_type + _tuple(*values) + b"b"


def _of_type(item_type, data=bytes(8)):
    made = _call(
        "numpy._core.multiarray", "_reconstruct", (_NDARRAY, (0,), b"U\x01b")
    )
    return made + _tuple(1, (1,), item_type, False, data) + b"b"


HOSTILE = {
    "object from bytes": _call(
        "numpy", "ndarray", ((1,), b"U\x01O", b"U\x08AAAAAAAA")
    ),
    "zero strides": _call(
        "numpy", "ndarray", ((10**9,), b"U\x02u1", b"U\x01a", 0, (0,))
    ),
    "objects by state": _of_type(
        _call("numpy", "dtype", (b"U\x02O8", 0, 1))
        + _tuple(3, b"U\x01|", None, None, None, -1, -1, 63)
        + b"b"
    ),
    "forged fields": _of_type(
        _state(3, b"U\x01|", None, (b"U\x01f",), {"f": 1}, 8, 1, 63)
    ),
    "forged subarray": _of_type(
        _state(3, b"U\x01|", (b"U\x01O", (10**9,)), None, None, 8, 1, 0)
    ),
    "forged flags": _of_type(
        _call("numpy", "dtype", (b"U\x02f8", 0, 1))
        + _tuple(3, b"U\x01<", None, None, None, -1, -1, 63)
        + b"b",
        bytes(7),
    ),
    "objects by scalar": _call(
        "numpy.core.multiarray",
        "scalar",
        (_call("numpy", "dtype", (b"U\x02O8", 0, 1)), b"U\x08AAAAAAAA"),
    ),
    "objects by buffer": _call(
        "numpy.core.numeric",
        "_frombuffer",
        (
            b"U\x08AAAAAAAA",
            _call("numpy", "dtype", (b"U\x01O", 0, 1)),
            (1,),
            b"U\x01C",
        ),
    ),
    "bytes of any length": _call("builtins", "bytes", (2 * 10**9,)),
    "slow codec": _call("_codecs", "encode", (b"U\x01a", b"U\x04idna")),
    "hex": _call("_codecs", "encode", (b"U\x01a", b"U\x03hex")),
    "texts encoded often": b"T"
    + struct.pack("<i", 2**20)
    + b"a" * 2**20
    + b"q\x00]("
    + b"c_codecs\nencode\nq\x01h\x00U\x06latin1\x86q\x02R"
    + b"h\x01h\x02R" * _BIG
    + b"e",
    "dictionary built often": b"]("
    + b"(U\x01aK\x01l" * 200
    + b"e\x85q\x000](ccollections\nOrderedDict\nq\x01h\x00R"
    + b"h\x01h\x00R" * 200_000
    + b"e",
    "hash of nested tuples": b"})" + b"2\x86" * 40 + b"K\x01s",
    "keys that collide": b"}("
    + b"".join(
        b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"K\x01"
        for i in range(1, _BIG)
    )
    + b"u",
    "list in itself": b"]q\x00h\x00a",
    "tuple in itself": b"]q\x00h\x00\x85q\x01a",
    "deep tuples": b"K\x01" + b"\x85" * 500_000,
    "deep lists": b"]" * 300 + b"a" * 299,
    "shared lists": b"]("
    + b"K\x01" * _BIG
    + b"eq\x00]("
    + b"h\x00" * _BIG
    + b"e",
    "shared arrays": _array((3 * _BIG,), bytes(24 * _BIG))
    + b"q\x00]("
    + b"h\x00" * _BIG
    + b"e",
    "empty lists": b"](" + b"]" * 3 * 10**6 + b"e",
    "memo": b"]r\xff\xff\xff\x7f",
    "length of a text": b"X\xff\xff\xff\x7fabc",
    "length of bytes": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x0fabc",
    "a number of many digits": b"L" + b"9" * 10**6 + b"L\n",
    "a large number": b"\x8a\xff" + b"\x7f" * 255,
    "a persistent reference": b"K\x01Q",
    "an instance": b"(ios\nsystem\n",
    "a function": b"cos\nsystem\n",
    "a call": b"cos\nsystem\n(S'true'\ntR",
    "a call of a call": _call("numpy", "dtype", (1,)) + b")R",
    "a set": b"\x8f",
    "an extension": b"\x82\x01",
    "a type": _call("numpy", "dtype", (b"U\x02f8", 0, 1)),
    "an empty stack": b"",
    "two values from nothing": b"\x86",
}

# Under a limit of memory and of time, which a crash or a bomb would reach.
_READER = f"""
import resource, sys
import numpy
from agem_tf.errors import UserError
from agem_tf.files.pickles import read_pickle
resource.setrlimit(resource.RLIMIT_AS, ({3 << 30},) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for name, content in eval(sys.stdin.read()).items():
    try:
        read_pickle(content + b".")
    except UserError as error:
        assert str(error).startswith("not a pickle of plain values"), error
        assert len(str(error)) < 300 and str(error).isprintable(), error
    else:
        raise SystemExit(f"{{name}} was read")
# ru_maxrss would be that of the parent, which may have loaded TensorFlow.
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def test_hostile_pickles_are_refused_in_little_memory():
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_READER)],
        input=repr(HOSTILE),
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) < 600_000


def test_any_damage_is_a_user_error():
    content = pickle.dumps({"a": [1, 2.5, "x"], "b": np.arange(9)}, 2)
    rng = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256)
        try:
            read_pickle(bytes(damaged))
        except UserError as error:
            assert "\n" not in str(error)
    for length in range(len(content)):
        with pytest.raises(UserError, match="not a pickle"):
            read_pickle(content[:length])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000
