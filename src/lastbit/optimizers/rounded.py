"""Which tensor operations round: those that compute, as opposed to views, copies, draws and choices among numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


_CONVERSIONS = frozenset({"_to_copy", "copy"})
_ACCUMULATING = frozenset({"index_put", "_index_put_impl", "put"})
# Their results are numbers that they were given, or drawn, or powers of two of these: nothing is rounded.
_EXACT = _named(
    # Places, copies and memory.
    "alias contiguous clone detach resize set lift lift_fresh lift_fresh_copy expand_copy narrow_copy view_copy "
    "unfold_copy permute_copy transpose_copy t_copy slice_copy select_copy squeeze_copy unsqueeze_copy as_strided_copy "
    "diagonal_copy split_copy split_with_sizes_copy unbind_copy view_as_real_copy view_as_complex_copy detach_copy "
    "alias_copy unsafe_split unsafe_split_with_sizes unsafe_chunk _unsafe_view _reshape_alias _reshape_copy cat stack "
    "block_diag where roll flip rot90 repeat repeat_interleave constant_pad_nd reflection_pad1d reflection_pad2d "
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d take index index_select gather "
    "masked_select slice_scatter select_scatter diagonal_scatter as_strided_scatter index_put _index_put_impl put "
    "scatter masked_scatter masked_fill index_fill index_copy fill fill_diagonal zero tril triu diag_embed embedding "
    "embedding_renorm im2col select_backward slice_backward pixel_shuffle pixel_unshuffle channel_shuffle "
    "_chunk_cat unique _unique2 unique_dim unique_consecutive _unsafe_masked_index masked_scatter_backward lu_unpack "
    "diagonal_backward resize_as squeeze unsqueeze t transpose swapaxes swapdims as_strided histc histogram "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d max_unpool2d max_unpool3d copy _to_copy _pin_memory _conj _conj_physical "
    "conj_physical resolve_conj resolve_neg complex real imag "
    # Created.
    "zeros ones full empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros_like ones_like "
    "full_like new_zeros new_ones new_full scalar_tensor eye arange tril_indices triu_indices "
    # Chosen among given numbers, their signs and whole parts.
    "relu threshold threshold_backward hardtanh hardtanh_backward relu6 clamp clamp_min clamp_max abs neg sign sgn "
    "positive maximum minimum fmax fmin max min amax amin aminmax cummax cummin _cummax_helper _cummin_helper topk "
    "sort msort kthvalue median nanmedian mode max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d "
    "adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d floor ceil round trunc nan_to_num copysign "
    "heaviside floor_divide frexp fmod nextafter hardshrink hardshrink_backward "
    # Drawn.
    "rand randn randint randperm rand_like randn_like randint_like normal normal_functional uniform cauchy log_normal "
    "exponential geometric random bernoulli multinomial poisson binomial _standard_gamma _sample_dirichlet"
)


@cache
def base_name(overload: OpOverload[..., Any]) -> str:
    """The name of an operation whether it works in place, on lists, or not: `add` for `_foreach_add_.Scalar`."""
    name = overload._schema.name.partition("::")[2]
    if not name.startswith("__"):
        name = name.removesuffix("_")
    return name.removeprefix("_foreach_")


@cache
def _may_round(overload: OpOverload[..., Any]) -> bool:
    """Whether some call of an operation of torch's own rounds."""
    if overload.namespace != "aten" or overload.is_view:
        return False
    name = base_name(overload)
    conditional = name in _CONVERSIONS or name in _ACCUMULATING
    return conditional or name not in _EXACT or "reduce" in overload._overloadname


def rounded_results(
    overload: OpOverload[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], given: Any
) -> list[Tensor]:
    """The floating-point tensors that a call computed by rounding: those it gave, or where it gave none changed.

    Views, copies, padding, draws, and what chooses among its inputs (ReLU, maxima, sorting) round nothing; of other
    libraries' operations that is not known, so they count as if they did not. A conversion rounds if its result has
    fewer digits, and writing to places if what meets there is added up.
    """
    if not _may_round(overload):
        return []
    name = base_name(overload)
    results = [tensor for tensor in _results(overload, args, kwargs, given) if _is_real_or_complex(tensor)]
    if name in _CONVERSIONS:
        source = args[1] if name == "copy" else args[0]
        return [
            result for result in results if isinstance(source, Tensor) and _loses_digits(source.dtype, result.dtype)
        ]
    if name in _ACCUMULATING and not (args[3] if len(args) > 3 else kwargs.get("accumulate", False)):
        return []
    return results


def _is_real_or_complex(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _loses_digits(source: torch.dtype, result: torch.dtype) -> bool:
    if not (source.is_floating_point and result.is_floating_point):
        return False
    return torch.finfo(result).eps > torch.finfo(source).eps


def _results(
    overload: OpOverload[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], given: Any
) -> list[Tensor]:
    made = list(tensors_in(given))
    if made or not overload._schema.is_mutable:
        return made
    arguments = overload._schema.arguments
    written = [i for i, argument in enumerate(arguments) if argument.alias_info and argument.alias_info.is_write]
    values = (args[i] if i < len(args) else kwargs.get(arguments[i].name) for i in written)
    return [tensor for value in values for tensor in tensors_in(value)]


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument or a result: itself, or those in lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
