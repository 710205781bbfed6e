"""How far rounding in one operation may part its results where its inputs have equal bits."""

from collections.abc import Sequence
from math import isfinite, prod, sqrt

from lastbit.script.trace.graph import COMPILED_GRAPH
from lastbit.script.trace.records import Record, TensorSummary

# A unit in the last place of 1, by the names of types.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
EPSILON |= {"float8_e4m3fn": 2.0**-3, "float8_e4m3fnuz": 2.0**-3, "float8_e5m2": 2.0**-2, "float8_e5m2fnuz": 2.0**-2}
EPSILON |= {"float8_e8m0fnu": 1.0, "float4_e2m1fn_x2": 2.0**-1}
EPSILON |= {"complex128": EPSILON["float64"], "complex64": EPSILON["float32"], "complex32": EPSILON["float16"]}
# The distance of the numbers next to 0, by which results are off however small they are.
_SMALLEST = {"float64": 2.0**-1074, "float32": 2.0**-149, "bfloat16": 2.0**-133, "float16": 2.0**-24}
_SMALLEST |= {
    "float8_e4m3fn": 2.0**-9,
    "float8_e4m3fnuz": 2.0**-10,
    "float8_e5m2": 2.0**-16,
    "float8_e5m2fnuz": 2.0**-17,
}
_SMALLEST |= {"float4_e2m1fn_x2": 2.0**-1, "complex32": 2.0**-24, "complex64": 2.0**-149, "complex128": 2.0**-1074}
_UNITS = 4.0  # errors of sqrt(K) units that an operation may make
_FLOOR = 32  # units in the last place that another kernel may be off by in one operation
_HALF_FLOOR = 2  # and in half precision, in which results are rounded once: they are computed in single precision
# They change each element by a factor or a power, and add nothing up; these choose or move elements.
_ELEMENTWISE = frozenset({"mul", "div", "sqrt", "rsqrt", "reciprocal", "neg", "square", "pow", "abs"})
_MOVES = frozenset({"embedding", "gather", "index", "index_select", "cat", "stack", "where", "masked_fill", "repeat"})
_MOVES |= {"relu", "clamp", "clamp_min", "threshold_backward", "max_pool2d_with_indices", "roll", "flip", "copy"}
_MOVES |= {"clone", "_to_copy", "constant_pad_nd", "tril", "triu"}
_ADD_TO_FIRST = frozenset({"add", "sub", "lerp", "addcmul", "addcdiv"})  # each of their first input's elements
_MATRIX_PRODUCTS = frozenset({"mm", "bmm", "mv", "dot", "vdot", "matmul", "linear", "inner", "_scaled_mm"})
_ADDED_PRODUCTS = frozenset({"addmm", "baddbmm", "addbmm", "addmv"})  # to their first input
_CONVOLUTIONS = frozenset({"convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution"})
_SUMS = frozenset({"sum", "mean"})
_RUNNING = frozenset({"cumsum", "cumprod"})  # add, or multiply, up to each element
_PUTS = frozenset({"index_put", "_index_put_impl", "put"})  # with `accumulate`; otherwise they move
_BY_INDEX = _PUTS | {"index_add", "scatter_add", "scatter_reduce"}  # add to their first input, at indices
_BAGS = frozenset({"embedding_dense_backward", "_embedding_bag_dense_backward"})  # add rows of their first input up
# Those that add up in the type of the result, also in half precision: by loops on CPUs, atomic additions elsewhere.
_IN_ITS_TYPE = {True: _PUTS | _BAGS | {"index_add"}, False: frozenset({"index_add", "scatter_add", "scatter_reduce"})}
_SEVERAL = ("attention", "lstm", "gru", "rnn")  # in the names of those that keep results between in half precision


def floor_of(name: str, given: TensorSummary, *, flushed: float = 0.0) -> float:
    """The relative distance that another kernel may make in any operation.

    It is that of some units in the last place of each element, or of as many of the smallest numbers there are.

    Args:
        name: of the operation; a compiled graph does many.
        given: its result.
        flushed: by how much elements may be off because they are flushed to 0.
    """
    once = _is_half(given.dtype) and not name.startswith(COMPILED_GRAPH)
    units = _HALF_FLOOR if once else _FLOOR
    smallest = max(flushed, _SMALLEST.get(given.dtype, 0.0)) * sqrt(prod(given.shape))
    return units * (EPSILON.get(given.dtype, 0.0) + (smallest / given.norm if given.norm > 0 else 0.0))


def limit_of_one(name: str, taken: Sequence[TensorSummary], given: TensorSummary, *, coarse: float = 0.0) -> float:
    """What an operation may be off by, relative to its result, on inputs of equal bits.

    The error of a sum of K terms is a few units of the terms' size times sqrt(K), however small the sum itself is:
    where terms cancel it is large beside the result (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
    section 3.1; the square root for errors of random signs). In C = AB the errors of the products are at most one unit
    of ‖A‖‖B‖, by Cauchy and Schwarz, whatever the scale of either; those of a gradient go with the gradient taken. In
    half precision terms are added up in single precision, and the result is rounded once; but at indices many
    operations add up in half precision, where a sum stands still when its terms are less than half a unit: errors of
    one sign, K in place of sqrt(K). All terms may have one index, one after the other, so that K is the number of
    indices, and that of all elements in running sums.

    Args:
        name: of the operation: aten::mm.
        taken: what is known of its inputs, in order.
        given: the result.
        coarse: the relative error of a product's factors, where they are rounded before they are multiplied.
    """
    if not taken or not given.norm > 0:
        return 0.0
    plain, unit, rounded = _plain(name), EPSILON.get(given.dtype, 0.0), 0.0
    if _is_half(given.dtype) and not any(word in plain for word in _SEVERAL):
        unit, rounded = (unit, 0.0) if _in_its_type(plain, given) else (EPSILON["float32"], unit)
    return rounded + _UNITS * max(unit, coarse) * max(1.0, _growth(plain, taken, given))


def limit_of_record(
    record: Record, taken: Sequence[TensorSummary], given: TensorSummary, *, coarse: float = 0.0
) -> float:
    """What `limit_of_one` says of a record: values that are put at indices are moved, unless they are added.

    Args:
        record: of the operation.
        taken: what is known of its inputs, in order.
        given: one of its results.
        coarse: as `limit_of_one` has it.
    """
    name = record.site.name
    moves = _plain(name) in _PUTS and record.arguments.get("accumulate") != "True"
    return limit_of_one("aten::copy" if moves else name, taken, given, coarse=coarse)


def product_kind(name: str) -> str | None:
    """Of a name, with what setting of precision an operation multiplies: `matmul`, `conv` or `rnn`; None of others.

    What is not known, as a compiled graph, may multiply matrices.

    Args:
        name: of the operation.
    """
    plain = _plain(name)
    if plain in _CONVOLUTIONS or "convolution" in plain:
        return "conv"
    if any(word in plain for word in ("lstm", "gru", "rnn")):
        return "rnn"
    known = plain in _MATRIX_PRODUCTS or plain in _ADDED_PRODUCTS or "attention" in plain
    return "matmul" if known or name.startswith(COMPILED_GRAPH) else None


def is_bounded(name: str) -> bool:
    """Whether `limit_of_one` knows how an operation's terms cancel.

    Args:
        name: of the operation.
    """
    plain = _plain(name)
    known = (_ELEMENTWISE, _MOVES, _ADD_TO_FIRST, _MATRIX_PRODUCTS, _ADDED_PRODUCTS, _CONVOLUTIONS, _SUMS)
    return any(plain in names for names in known)


def _plain(name: str) -> str:
    return name.removeprefix("aten::").removeprefix("_foreach_").removesuffix("_")


def _is_half(dtype: str) -> bool:
    return EPSILON["float32"] < EPSILON.get(dtype, 0.0)


def _in_its_type(plain: str, given: TensorSummary) -> bool:
    return plain in _IN_ITS_TYPE[given.device == "cpu"]


def _growth(plain: str, taken: Sequence[TensorSummary], given: TensorSummary) -> float:
    """By how much the error of an operation exceeds that of one rounding of its result."""
    if plain in _ELEMENTWISE or plain in _MOVES:
        return 1.0
    if plain in _ADD_TO_FIRST:
        # The second is no larger than the first and the result together.
        return 1.0 + _broadcast(taken[0], given)
    if plain in _MATRIX_PRODUCTS and len(taken) >= 2:
        return _product(taken[0], taken[1], given)
    if plain in _ADDED_PRODUCTS and len(taken) >= 3:
        return _product(taken[1], taken[2], given) + _broadcast(taken[0], given)
    if plain in _CONVOLUTIONS and len(taken) >= 2:
        added = sum(_broadcast(bias, given) for bias in taken[2:])
        return _product(taken[0], taken[1], given, taps=prod(taken[1].shape[2:])) + added
    if plain == "convolution_backward" and len(taken) == 3 and len(given.shape) > 1:
        gradient, inputs, weight = taken
        factor = inputs if given.shape == weight.shape else weight
        return _product(gradient, factor, given, taps=prod(weight.shape[2:]))
    if plain in _RUNNING or plain in _BY_INDEX or plain in _BAGS:
        return _one_by_one(plain, taken, given)
    return _sum(taken[:1] if plain.endswith(("_backward", "_backward_data")) else taken, given, mean=plain == "mean")


def _product(one: TensorSummary, other: TensorSummary, given: TensorSummary, *, taps: int = 1) -> float:
    """Of sums of K products: sqrt(K), or ‖A‖‖B‖ / ‖C‖ where they cancel.

    Args:
        one: A; of a matrix product m x K.
        other: B; K x n.
        given: C; m x n. So K is the root of all three sizes, however they are transposed.
        taps: of a convolution's kernel, so often each element of the input is taken: K is larger by their root, and
            so is the terms' size.
    """
    sizes = [max(1, prod(summary.shape)) for summary in (one, other, given)]
    terms = sqrt(sizes[0] * sizes[1] / sizes[2] * taps)
    return max(sqrt(terms), sqrt(taps) * one.norm * other.norm / given.norm)


def _sum(taken: Sequence[TensorSummary], given: TensorSummary, *, mean: bool) -> float:
    """Of sums of K elements, K as many as there are for each result: sqrt(K), more where they cancel."""
    terms = max(1.0, max(prod(summary.shape) for summary in taken) / max(1, prod(given.shape)))
    total = given.norm * (terms if mean else 1.0)
    return sqrt(terms) * max([1.0, *(summary.norm / total for summary in taken if isfinite(summary.norm))])


def _one_by_one(plain: str, taken: Sequence[TensorSummary], given: TensorSummary) -> float:
    """Of sums whose terms may all go into one element: K as many as there are indices, or elements without indices."""
    indices = [prod(summary.shape) for summary in taken if summary.dtype not in EPSILON]
    count = max([1, *(indices or [prod(taken[0].shape)])])
    terms = count if _is_half(given.dtype) and _in_its_type(plain, given) else sqrt(count)
    if plain == "cumprod":
        return terms
    norms = [summary.norm for summary in taken if summary.dtype in EPSILON and isfinite(summary.norm)]
    return terms * max([1.0, *(norm / given.norm for norm in norms)])


def _broadcast(first: TensorSummary, given: TensorSummary) -> float:
    """The norm of an input, as it is broadcast, in that of the result."""
    spread = first.norm * sqrt(max(1, prod(given.shape)) / max(1, prod(first.shape)))
    return spread / given.norm if isfinite(spread) else 0.0
