"""Evaluate a model without leaving a trace: everything that it can reach is remembered and put back.

An evaluation may change more than tensors: counters of modules, lists that hooks fill, generators of data sets, other
networks that the loss calls. All of it hangs on the objects that are evaluated. `ReachableState` walks along these and
keeps a shallow copy of them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as _modules

from lastbit.curvature.untouched.memories import Remembered, of_array, of_dict, of_named, of_tensor
from lastbit.curvature.untouched.names import Name
from lastbit.curvature.untouched.walk import Walk
from lastbit.errors import LastbitError
from lastbit.precision import exact_products

_COPIED = 2**28  # bytes of tensors and arrays that are copied; beyond it only writes by torch are noticed


class ReachableState(Walk):
    """Everything that the roots reach, as it is now.

    Of an object of the user's own, such as the trainer that the loss is a method of, only the attributes that code on
    the walk names count. The others belong to its threads and its training, and are left as they are.

    Args:
        roots: what is about to be evaluated or read.
        installed_too: walk into objects of installed packages too, such as samplers. Otherwise only into modules, so
            that a trainer or a logger, which threads of its own may be changing, stays out.
        outer: a state that is part of this one; what it has visited is not visited again.
        remember: False only lists what there is.
    """

    def __init__(
        self, *roots: object, installed_too: bool = False, outer: ReachableState | None = None, remember: bool = True
    ) -> None:
        super().__init__(installed_too=installed_too, remember=remember)
        self._outer = outer
        self.passes: dict[int, ReachableState] = {}  # of data that are read again and again while this one is open
        if outer is not None:
            self.modules, self.loaders, self.devices = list(outer.modules), list(outer.loaders), set(outer.devices)
        self._walk([(Name(getattr(root, "__name__", type(root).__name__)), root) for root in roots])
        if remember:
            self._remember_rest()

    @property
    def accelerators(self) -> list[torch.device]:
        """The devices in use that have their own random state."""
        return sorted((device for device in self.devices if device.type not in ("cpu", "meta")), key=str)

    def covers(self, thing: object) -> bool:
        """Whether there is nothing, or nothing more, to remember of a thing."""
        return super().covers(thing) or (self._outer is not None and self._outer.covers(thing))

    def random_states(self) -> list[object]:
        """States of all generators that an evaluation may draw from: torch's, Python's, numpy's, and the roots' own."""
        states = [torch.get_rng_state()]
        states += [torch.get_device_module(device).get_rng_state(device) for device in self.accelerators]
        others = repr((random.getstate(), np.random.get_state()))  # noqa: NPY002
        return [*(state.numpy().tobytes() for state in states), others, *self._generator_texts()]

    def restore(self) -> None:
        """Put back what has changed since, as far as it can be.

        Raises:
            LastbitError: something has changed that cannot be put back.
        """
        if self._outer is not None:
            self._outer.restore()
        lost = [(memory.name, failure) for memory in self._memories for failure in _failures(memory)]
        if lost:
            name, reason = lost[0]
            raise LastbitError(
                f"measuring changes {name}, which cannot be put back; give a model, a loss and data that leave it "
                "as it is, such as fixed batches in a list"
            ) from reason

    def _generator_texts(self) -> list[str]:
        before = [] if self._outer is None else self._outer._generator_texts()
        return [*before, *(text() for text in self._generators)]

    def _remember_rest(self) -> None:
        """Remember the attributes that code names, then the elements of tensors and arrays, small ones first.

        Parameters come last: while a model is evaluated, copies stand in for them.
        """
        for name, thing, _ in self._narrow:
            attributes = None if isinstance(thing, type) else getattr(thing, "__dict__", None)
            if isinstance(attributes, dict):
                self._memories.append(
                    of_dict(name, attributes) if self._named is None else of_named(name, attributes, self._named)
                )
        copied = 0
        self._contents.sort(key=lambda content: (isinstance(content[1], nn.Parameter), content[1].nbytes))
        for name, thing in self._contents:
            if isinstance(thing, Tensor):
                memories, more = of_tensor(name, thing, _COPIED - copied)
                self._memories.extend(memories)
                copied += more
            elif thing.nbytes <= _COPIED - copied:
                self._memories.append(of_array(name, thing))
                copied += thing.nbytes


def _failures(memory: Remembered) -> list[Exception | None]:
    """Put one thing back where it has changed; empty unless that failed, None where it cannot be done."""
    try:
        if not memory.changed():
            return []
        if memory.put_back is None:
            return [None]
        memory.put_back()
    except Exception as error:  # the rest is put back all the same
        return [error]
    return []


_OPEN: list[ReachableState] = []  # what the blocks that are open remember, outermost first


@contextmanager
def undisturbed(*roots: object, installed_too: bool = False, exact: bool = True) -> Iterator[ReachableState]:
    """Put back at the end what the roots reach and every random state; gradients are on in between.

    Blocks may be nested: what an outer one remembers is put back at the
    end of the inner one too, so that successive evaluations start from the same state.

    Args:
        roots: a model, a loss, tensors, a data set: what is about to be evaluated or read.
        installed_too: see `ReachableState`.
        exact: multiply as `exact_products` does meanwhile; False keeps the training's own arithmetic.

    Raises:
        LastbitError: something has changed that cannot be put back.
    """
    state = _state(roots, installed_too)
    devices = state.accelerators
    kind = devices[0].type if devices else "cuda"
    with torch.random.fork_rng(devices, device_type=kind), _other_random_states(), torch.enable_grad():
        _OPEN.append(state)
        try:
            with exact_products() if exact else nullcontext():
                yield state
        except BaseException:
            with suppress(LastbitError):
                state.restore()
            raise
        else:
            state.restore()
        finally:
            _OPEN.remove(state)


def as_read(source: object) -> ReachableState:
    """What a data set reaches, remembered once in the outermost open block however often it is read there."""
    if not _OPEN:
        return ReachableState(source, installed_too=True)
    passes = _OPEN[0].passes
    if id(source) not in passes:
        # The state keeps the source alive, so that no other object gets its id.
        passes[id(source)] = ReachableState(source, installed_too=True)
    return passes[id(source)]


@contextmanager
def evaluation_mode(*roots: object) -> Iterator[None]:
    """Put every module that a model or a loss reaches into evaluation mode, and back into its own mode at the end.

    The flags are set one by one, since `train()` and `eval()` may be overridden, as by models that keep their batch
    normalisation frozen.
    """
    modes = [(module, module.training) for module in ReachableState(*roots, remember=False).modules]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """Turn off autocast, whose rounding would drown a product, and compiled graphs, which have no second derivative."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if "torch._dynamo" in sys.modules:  # importing it takes seconds, and without it nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _state(roots: Sequence[object], installed_too: bool) -> ReachableState:
    """An open block's state where it has visited all the roots, else one of what that lacks beside it."""
    known = [(sum(map(outer.covers, roots)), outer) for outer in _OPEN if outer.installed_too >= installed_too]
    visited, outer = max(known, key=lambda pair: pair[0], default=(0, None))
    if outer is None or not visited:
        return ReachableState(*roots, *_global_hooks(), installed_too=installed_too)
    return outer if visited == len(roots) else ReachableState(*roots, installed_too=installed_too, outer=outer)


def _global_hooks() -> list[object]:
    """The hooks that are called with every module."""
    return [value for name, value in vars(_modules).items() if name.startswith("_global_") and isinstance(value, dict)]


@contextmanager
def _other_random_states() -> Iterator[None]:
    """Put back the random states of Python and numpy."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
