"""Check of a SavedModel's operations before it is loaded.

A SavedModel is a program: WriteFile, ReadFile, PyFunc or an operation of a
library can access files or run code. An index contains a SavedModel and may
come from an untrusted source. Only the operations that exports of this package
consist of are accepted; none of them touches files, processes or the network.
"""

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.message import DecodeError
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from agem_tf.errors import UserError

_FILE = "saved_model.pb"
# TensorFlow would prefer the first, and take the second without the file above.
_OTHER_FORMS = ("saved_model.cpb", "saved_model.pbtxt")
_MAX_BYTES = 1 << 28
# What exports of all backbones, poolings and image settings consist of, and
# further ones that compute and do nothing else.
OPERATIONS = frozenset(
    """
    Abs AddV2 All Any ArgMax ArgMin AsString Assert AssignAddVariableOp
    AssignSubVariableOp AssignVariableOp AvgPool BatchDatasetV2
    BatchMatMulV2 BatchMatMulV3 BiasAdd Bincount Bitcast BitwiseAnd
    BitwiseOr BroadcastArgs BroadcastTo Cast Ceil ClipByValue ConcatV2
    ConcatenateDataset Const Conv2D Conv2DBackpropInput Cos CropAndResize
    Cumprod Cumsum DatasetToSingleElement DecodeBmp DecodeGif DecodeImage
    DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DenseBincount
    DepthToSpace DepthwiseConv2dNative DisableCopyOnRead DivNoNan Einsum Elu
    EnsureShape Equal Erf Erfc EuclideanNorm Exp ExpandDims Expm1
    ExtractImagePatches ExtractJpegShape Fill Floor FloorDiv FloorMod
    FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual Identity
    IdentityN If IgnoreErrorsDataset InvertPermutation IsFinite IsInf IsNan
    L2Loss LeakyRelu Less LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd
    LogicalNot LogicalOr MatMul MatrixBandPart MatrixDiagV3 Max MaxPool
    Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan Neg NoOp
    NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NotEqual
    OneHot OnesLike Pack Pad PadV2 ParallelMapDatasetV2 PartitionedCall
    Placeholder PlaceholderWithDefault Pow PreventGradient Prod
    RandomUniform Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6
    Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ReverseV2 Rint Roll Round Rsqrt ScaleAndTranslate ScatterNd SegmentSum
    Select SelectV2 Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus
    Softsign SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomUniformV2 StatelessWhile
    StopGradient StridedSlice StringLength StringSplitV2 Sub Substr Sum
    TakeDataset Tan Tanh TensorDataset TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGetItem
    TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListSetItem TensorListStack TensorScatterAdd
    TensorScatterUpdate TensorSliceDataset Tile TopKV2 Transpose Unique
    UniqueV2 Unpack UnsortedSegmentSum VarHandleOp VarIsInitializedOp Where
    While Xdivy ZerosLike
    """.split()
)
# They save and restore the variables, in functions that only TensorFlow's own
# saver calls; the loader reads the checkpoint without them.
SAVER_OPERATIONS = frozenset(
    """
    MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch
    StringJoin
    """.split()
)
# Kinds of objects in an export. Tables and assets would read files.
_OBJECTS = {
    "bare_concrete_function",
    "captured_tensor",
    "constant",
    "function",
    "user_object",
    "variable",
}
# TensorFlow makes others by what Python packages registered.
_CLASSES = {
    "_generic_user_object",
    "signature_map",
    "trackable_dict_wrapper",
    "trackable_list_wrapper",
    "trackable_tuple_wrapper",
}
# TensorFlow exchanges a function for another of the same value.
_EXCHANGE = "api_implements"


def check_operations(directory: str | os.PathLike) -> None:
    """Checks that a SavedModel consists of what our exports consist of.

    Args:
        directory: Directory of the SavedModel.

    Raises:
        UserError: It has another operation or object, which the message names,
            or it is damaged.
    """
    path = pathlib.Path(directory, _FILE)
    for form in _OTHER_FORMS:
        if (path.parent / form).exists():
            raise UserError(f"{path.parent} holds {form}; remove that file.")
    for file in path.parent.rglob("*"):
        # Reading a pipe would block for ever.
        if not (file.is_file() or file.is_dir()):
            raise UserError(f"{file} is not a file; remove it.")
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise UserError(
            f"{path} is missing or larger than {_MAX_BYTES >> 20} MiB; export "
            "the model again with python -m agem_tf.export."
        )
    try:
        saved = SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise UserError(
            f"{path} is damaged; export the model again with python -m "
            "agem_tf.export."
        ) from error
    for fault in _faults(saved):
        raise UserError(
            f"{directory} holds {fault}, which exports of agem_tf do not use "
            "and which may run code of its author; export the model again with "
            "python -m agem_tf.export."
        )


def _faults(saved: SavedModel) -> Iterator[str]:
    """Yields a phrase for everything that no export contains."""
    if len(saved.meta_graphs) != 1 or (
        not saved.meta_graphs[0].HasField("object_graph_def")
    ):
        yield "graphs of TensorFlow 1"
        return
    graph = saved.meta_graphs[0].graph_def
    objects = saved.meta_graphs[0].object_graph_def
    for item in objects.nodes:
        kind = item.WhichOneof("kind")
        if kind not in _OBJECTS or item.registered_saver:
            yield f"an object of the kind {kind}"
        made_by = item.registered_name
        if kind == "user_object":
            made_by = made_by or item.user_object.identifier
        if made_by and made_by not in _CLASSES:
            yield f"an object of the class {made_by[:80]!r}"
    functions = {f.signature.name: f for f in graph.library.function}
    if len(functions) < len(graph.library.function):
        yield "two functions of one name"
    callable_ones = _reachable(functions, _named_functions(saved))
    for name, function in functions.items():
        if _EXCHANGE in function.attr:
            yield f"a function with the attribute {_EXCHANGE!r}"
        accepted = OPERATIONS
        if name not in callable_ones:
            accepted = OPERATIONS | SAVER_OPERATIONS
        yield from _unknown(function.node_def, accepted)
    yield from _unknown(graph.node, OPERATIONS | SAVER_OPERATIONS)


def _unknown(nodes: Iterable[NodeDef], accepted: frozenset[str]) -> Iterator:
    for node in nodes:
        if node.op not in accepted:
            yield f"the operation {node.op[:80]!r}"


def _named_functions(saved: SavedModel) -> Iterator[str]:
    """Yields the names of functions that a loaded model can call directly."""
    library = saved.meta_graphs[0].graph_def.library
    objects = saved.meta_graphs[0].object_graph_def
    yield from objects.concrete_functions
    for item in objects.nodes:
        yield from item.function.concrete_functions
        yield item.bare_concrete_function.concrete_function_name
        yield item.captured_tensor.concrete_function
    # When somebody asks for gradients.
    for gradient in (*library.gradient, *library.registered_gradients):
        yield gradient.gradient_func


def _reachable(
    functions: dict[str, FunctionDef], roots: Iterable[str]
) -> set[str]:
    """Returns the names of functions that those of the model can call."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name not in functions:
            continue
        found.add(name)
        for node in functions[name].node_def:
            waiting.extend(_functions_in(node.attr))
    return found


def _functions_in(attributes: Mapping[str, AttrValue]) -> Iterator[str]:
    """Yields the functions in attributes, and in those of each of them."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            yield function.name
            yield from _functions_in(function.attr)
