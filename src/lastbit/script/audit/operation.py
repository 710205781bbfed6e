"""An operation of torch's dispatcher, what the audit has to know about it, and what it is called with."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from lastbit.script.audit.bits import is_plain, tensors
from lastbit.script.audit.compiled import CompiledGraph
from lastbit.script.audit.evidence import Value
from lastbit.script.audit.memory import WrittenMemory, running_statistics


def _named(names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}" for name in names.split())


# Memory without values yet, and memory of somebody else's: there is nothing to compare before it is read. A loader's
# worker processes hand over their batches by these two, in an order that changes from run to run.
_ALLOCATIONS = frozenset(
    f"aten::{name}"
    for name in ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "resize_")
)
_ADOPTIONS = frozenset({"aten::set_"})
# Other processes' values arrive in the arguments of the first some time after the call, and in the results of the
# second before they are read.
_COLLECTIVE, _DEFERRED = "c10d::", "_c10d_functional::"
# Views, and collectives that take a tensor of which nobody knows what it holds.
_UNCOMPARED = frozenset(
    {
        *("aten::detach", "aten::detach_", "aten::alias", "aten::t", "aten::_unsafe_view"),
        *("c10d::barrier", "c10d::monitored_barrier_"),
    }
)
_TAKES_IN = "aten::lift_fresh"  # called by `torch.tensor` and the like on what they were given
# Copies of values nobody wrote are no fault while nothing is computed from them: weights that a checkpoint will
# overwrite are often moved or converted first.
_COPIES = frozenset({"aten::clone", "aten::_to_copy", "aten::copy_"})
# They leave values as they are, elsewhere perhaps, or replace some: what nobody wrote stays what it is.
_MOVES = _COPIES | _named(
    "cat stack where roll flip rot90 repeat constant_pad_nd take index index_select gather masked_select "
    "slice_scatter select_scatter diagonal_scatter as_strided_scatter index_put _index_put_impl_ index_put_ "
    "scatter scatter_ scatter_reduce scatter_reduce_ index_reduce index_reduce_ masked_scatter masked_scatter_ "
    "index_copy index_copy_ index_fill index_fill_ masked_fill masked_fill_ put put_ fill_diagonal_ tril tril_ triu "
    "triu_ _foreach_copy_ im2col expand_copy narrow_copy view_copy unfold_copy contiguous"
)
# They look at shapes and types alone.
_BLIND = _named(
    "zeros_like ones_like full_like rand_like randn_like randint_like new_zeros new_ones new_full is_same_size "
    "sym_size sym_stride sym_numel sym_storage_offset"
)
# They make a number of Python's out of a value.
_ESCAPES = frozenset({"aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal"})
# In-place operations that do not look at what was there.
_OVERWRITES = frozenset({"aten::copy_", "aten::fill_", "aten::zero_", "aten::arange", "aten::eye"})
# Results that are scratch memory of a kernel, in parts never written, by their position.
_SCRATCH = {
    "aten::_ctc_loss": frozenset({1}),
    "aten::_cudnn_ctc_loss": frozenset({1}),
    "aten::_cudnn_rnn": frozenset({3, 4}),
    "aten::_embedding_bag": frozenset({1, 2, 3}),
    "aten::_embedding_bag_forward_only": frozenset({1, 2, 3}),
    "aten::_scaled_dot_product_cudnn_attention": frozenset({6, 7, 8}),
    "aten::_scaled_dot_product_efficient_attention": frozenset({2, 3}),
    "aten::_scaled_dot_product_flash_attention": frozenset({6, 7, 8}),
    "aten::cudnn_batch_norm": frozenset({3}),
    "aten::miopen_rnn": frozenset({3, 4}),
    "aten::mkldnn_rnn_layer": frozenset({3}),
    "fsdp::all_gather_copy_in": frozenset({1}),  # where the other ranks' parts are to arrive
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One overload of an operation, as the audit treats it."""

    name: str  # as the profiler writes it: `aten::add_`
    code: int  # of the overload, the same in every process
    names: tuple[str, ...]  # of its arguments
    written: tuple[int, ...]  # positions of the arguments that it changes
    overwrites: bool  # whether it writes those without reading them
    random: bool  # draws from a generator
    view: bool  # its result shares the memory of an argument
    allocates: bool  # its result's values are undefined
    adopts: bool  # its result's values were made elsewhere
    communicates: bool  # with other processes
    copies: bool
    moves: bool  # its results hold values of its arguments as they are, or what it was to write
    escapes: bool  # it gives a value to Python
    ours: bool  # torch's own
    blind: bool  # does not look at the values of its arguments
    compared: bool  # whether what it gives is an event
    scratch: frozenset[int]  # positions of results that mean nothing
    collective: bool  # its arguments hold what other processes give, once it is complete

    def inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[Tensor, bool]]:
        """Its tensor arguments, in order, each with whether the operation depends on its values."""
        for position, value in enumerate(args):
            if isinstance(value, Tensor):
                yield value, not (self.blind or (self.overwrites and position in self.written))
            elif isinstance(value, list | tuple):
                for item in tensors(value):
                    yield item, not self.blind
        for name, value in kwargs.items():
            # Written and given by name means `out=`, which is not read.
            read = self.names.index(name) not in self.written
            for item in tensors(value):
                yield item, read

    @property
    def defers(self) -> bool:
        """Whether its results arrive some time after the call, and are not to be read before they are waited for."""
        return self.adopts and self.communicates

    @property
    def reads(self) -> bool:
        """Whether it depends on the values of its arguments; a view does not, but what takes Python's data in does."""
        return not (self.view or self.adopts or self.allocates or self.blind) or self.name == _TAKES_IN

    def results(self, args: Sequence[Any], kwargs: Mapping[str, Any], given: Any) -> list[Tensor]:
        """The tensors to compare after it gave `given`: those it changed, or those it made."""
        made = [tensor for place, tensor in enumerate(tensors(given)) if place not in self.scratch]
        return self.changed(args, kwargs) or [*made, *running_statistics(self.name, args)]

    def changed(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The tensors that it changes, in order."""
        changed: list[Tensor] = []
        for position in self.written:
            value = args[position] if position < len(args) else kwargs.get(self.names[position])
            changed += tensors(value)
        return changed

    def exchanged(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The tensors that it gives to other processes or changes; the schema of a collective does not say which."""
        return [tensor for value in (*args, *kwargs.values()) for tensor in tensors(value)]

    def numbers(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
        """Its arguments that are numbers, or lists of numbers, written out exactly."""
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        return {name: repr(value) for name, value in given.items() if _is_numeric(value)}

    def generator_seed(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int | None:
        """The seed of a generator among its arguments."""
        given = (value for value in (*args, *kwargs.values()) if isinstance(value, torch.Generator))
        return next((generator.initial_seed() for generator in given), None)


@cache
def describe(overload: OpOverload[..., Any]) -> Operation:
    """Read an operation's schema and tags."""
    schema = overload._schema
    name = schema.name
    written = tuple(i for i, a in enumerate(schema.arguments) if a.alias_info is not None and a.alias_info.is_write)
    random = torch.Tag.nondeterministic_seeded in overload.tags
    gives_tensors = any("Tensor" in str(result.type) for result in schema.returns)
    allocates = name in _ALLOCATIONS
    collective = name.startswith(_COLLECTIVE)
    adopts = name in _ADOPTIONS or name.startswith(_DEFERRED)
    silent = allocates or adopts or name in _UNCOMPARED or not (gives_tensors or written or collective)
    return Operation(
        name=name,
        code=zlib.crc32(str(overload).encode()),
        names=tuple(argument.name for argument in schema.arguments),
        written=written,
        overwrites=name in _OVERWRITES or (random and bool(written)),
        random=random,
        view=overload.is_view or name == "aten::_unsafe_view",
        allocates=allocates,
        adopts=adopts,
        communicates=name.startswith((_COLLECTIVE, _DEFERRED)),
        copies=name in _COPIES,
        moves=name in _MOVES or name in _OVERWRITES or "out" in overload._overloadname.split("_"),
        escapes=name in _ESCAPES,
        ours=name.startswith("aten::"),
        blind=name in _BLIND,
        compared=not silent,
        scratch=_SCRATCH.get(name, frozenset()),
        collective=collective,
    )


@cache
def describe_graph(graph: CompiledGraph) -> Operation:
    """A compiled graph as one operation, of which nothing else is known than what it takes and gives."""
    return Operation(
        name=graph.name,
        code=zlib.crc32(graph.name.encode()),
        names=(),
        written=(),
        overwrites=False,
        random=False,
        view=False,
        allocates=False,
        adopts=False,
        communicates=False,
        copies=False,
        moves=False,
        escapes=False,
        ours=False,
        blind=False,
        compared=True,
        scratch=frozenset(),
        collective=False,
    )


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, int | float | complex) for item in value)
    return isinstance(value, int | float | complex)


@dataclass(frozen=True, slots=True)
class OperationCall:
    """An operation and what it is called with."""

    func: Any
    operation: Operation
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    inputs: list[tuple[Tensor, bool]]  # its tensors, each with whether it is read
    frame: FrameType | None  # that called it; None on a thread of autograd's own
    held: int | None  # bytes of the memory of a tensor that it resizes
    graph: CompiledGraph | None = None  # what it is a call of, where it is no single operation
    given: tuple[Value, ...] | None = None  # what it was given, described before it could write there

    def reads_unwritten(self, memory: WrittenMemory) -> bool:
        """Whether some value that it reads may never have been written."""
        return memory.has_unwritten and any(
            read and is_plain(tensor) and memory.is_unwritten(tensor) for tensor, read in self.inputs
        )

    @property
    def repeatable(self) -> bool:
        """Whether doing it again changes nothing and gives the same, as far as its arguments decide."""
        operation = self.operation
        return operation.ours and not (operation.written or operation.random or operation.view or operation.allocates)
