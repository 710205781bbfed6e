"""Single objects as they are now, and how each is put back: tensors, containers, generators, variables, files."""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lastbit.curvature.untouched.names import Name
from lastbit.tensors import local

_COMPARED = 2**22  # bytes of an array that are compared at once


@dataclass(frozen=True, eq=False)
class Remembered:
    """One object as it was."""

    name: object  # its text is the object's name in messages
    changed: Callable[[], bool]
    put_back: Callable[[], object] | None  # None: a change can only be noticed


def of_dict(name: object, thing: dict[Any, Any]) -> Remembered:
    """The items of a dictionary, and their order."""
    saved = list(thing.items())

    def changed() -> bool:
        """Whether a key or a value is another object."""
        now = list(thing.items())  # at once: another thread may be adding to it
        return len(now) != len(saved) or any(
            key is not old_key or value is not old for (key, value), (old_key, old) in zip(now, saved, strict=True)
        )

    def put_back() -> None:
        """Make the items those that were."""
        thing.clear()
        thing.update(saved)

    return Remembered(name, changed, put_back)


def of_named(name: object, thing: dict[str, Any], names: Collection[str]) -> Remembered:
    """The items of a dictionary of attributes that have these names, or lack them; the others are left alone."""
    saved = {key: value for key, value in list(thing.items()) if key in names}

    def changed() -> bool:
        """Whether one of them is another object, has come or has gone."""
        now = {key: value for key, value in list(thing.items()) if key in names}
        return now.keys() != saved.keys() or any(now[key] is not value for key, value in saved.items())

    def put_back() -> None:
        """Make these items those that were."""
        for key in [key for key in list(thing) if key in names and key not in saved]:
            del thing[key]
        thing.update(saved)

    return Remembered(name, changed, put_back)


def of_items(name: object, thing: Any) -> Remembered:
    """The items of a list, a deque, a set or an array of bytes."""
    saved = list(thing)

    def changed() -> bool:
        """Whether an item is another object."""
        now = list(thing)
        return len(now) != len(saved) or any(new is not old for new, old in zip(now, saved, strict=True))

    def put_back() -> None:
        """Make the items those that were."""
        thing.clear()
        (thing.update if isinstance(thing, set) else thing.extend)(saved)

    return Remembered(name, changed, put_back)


def of_variable(name: object, read: Callable[[], object], write: Callable[[Any], object]) -> Remembered:
    """A variable or an attribute: which object it is bound to."""
    saved = read()
    return Remembered(name, lambda: read() is not saved, lambda: write(saved))


def of_array(name: object, thing: np.ndarray[Any, Any]) -> Remembered:
    """The elements of an array of numbers."""
    saved = thing.copy()
    return Remembered(name, lambda: not _same_bytes(thing, saved), lambda: np.copyto(thing, saved))


def _same_bytes(array: np.ndarray[Any, Any], saved: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays hold the same bytes, compared in parts where their memory is contiguous."""
    if array.shape != saved.shape or array.dtype != saved.dtype:
        return False
    if not array.flags.c_contiguous or not saved.flags.c_contiguous:
        return array.tobytes() == saved.tobytes()
    flat, old = array.reshape(-1).view(np.uint8), saved.reshape(-1).view(np.uint8)
    parts = range(0, flat.size, _COMPARED)
    return all(np.array_equal(flat[at : at + _COMPARED], old[at : at + _COMPARED]) for at in parts)


def of_generator(name: object, thing: Any) -> tuple[Remembered, Callable[[], str]]:
    """The state of a random generator, and a function that gives it as text."""
    read, write = _access(thing)
    saved = read()
    text = partial(_text, read)
    before = text()
    return Remembered(name, lambda: text() != before, lambda: write(saved)), text


def _access(thing: Any) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """Functions that read and write a generator's state."""
    if isinstance(thing, torch.Generator):
        return thing.get_state, thing.set_state
    if isinstance(thing, np.random.Generator):
        bits = thing.bit_generator
        return lambda: bits.state, lambda state: setattr(bits, "state", state)
    if isinstance(thing, np.random.RandomState):
        return lambda: thing.get_state(legacy=False), thing.set_state
    return thing.getstate, thing.setstate


def _text(read: Callable[[], Any]) -> str:
    state = read()
    return repr(state.tolist() if isinstance(state, Tensor) else state)


GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def of_file(name: object, file: Any) -> list[Remembered]:
    """The position in an open file; nothing in the middle of a loop over its lines, where it has none."""
    where = _position(file)
    return [] if where is None else [Remembered(name, lambda: _position(file) != where, lambda: file.seek(where))]


def _position(file: Any) -> int | None:
    try:
        return int(file.tell())
    except (OSError, ValueError):
        return None


def of_iterator(name: object, iterator: Any) -> Remembered:
    """How far an iterator is, as far as that shows without reading it; it cannot be put back."""
    before = _progress(iterator)
    return Remembered(name, lambda: _progress(iterator) != before, None)


def _progress(iterator: Any) -> object:
    if isinstance(iterator, types.GeneratorType):
        frame = iterator.gi_frame
        return frame and (frame.f_lasti, {key: id(value) for key, value in frame.f_locals.items()})
    yielded = getattr(iterator, "_num_yielded", None)  # a DataLoader's
    hint = getattr(iterator, "__length_hint__", None)
    return hint() if yielded is None and callable(hint) else yielded


def of_tensor(name: Name, tensor: Tensor, most: int) -> tuple[list[Remembered], int]:
    """A tensor's elements, or its version where they may not be copied; its flag and gradient; and the bytes copied.

    Args:
        name: in messages.
        tensor: any; of one that is split over processes, the part on this one; of one whose elements cannot be read,
            only the flag and the gradient.
        most: bytes that may be copied.
    """
    memories = [_flag(name, tensor), *_gradient(name, tensor)] if tensor.is_leaf else []
    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.is_quantized or not tensor.numel():
        return memories, 0
    part = local(tensor)
    if part.nbytes > most:
        if tensor.is_inference():  # it has no version
            return memories, 0
        version = tensor._version
        return [*memories, Remembered(name, lambda: tensor._version != version, None)], 0
    saved = part.detach().clone()
    return [
        *memories,
        Remembered(name, lambda: not _equal(local(tensor), saved), lambda: _write(local(tensor), saved)),
    ], part.nbytes


def _flag(name: Name, tensor: Tensor) -> Remembered:
    return of_variable(
        Name(".requires_grad", name),
        lambda: tensor.requires_grad,
        lambda value: setattr(tensor, "requires_grad", value),
    )


def _gradient(name: Name, tensor: Tensor) -> list[Remembered]:
    """The gradient, which may become another object, or be added to; the latter cannot be put back."""
    name = Name(".grad", name)
    if tensor.grad is None:
        back = partial(setattr, tensor, "grad", None)
        return [Remembered(name, lambda: tensor.grad is not None, back)]
    saved = tensor.grad
    kept = of_variable(name, lambda: tensor.grad, lambda value: setattr(tensor, "grad", value))
    if saved.is_inference():
        return [kept]
    version = saved._version
    return [kept, Remembered(name, lambda: saved._version != version, None)]


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)


def _alike(tensor: Tensor, saved: Tensor) -> bool:
    """Whether two tensors have the same shape, type and device."""
    return (tensor.shape, tensor.dtype, tensor.device) == (saved.shape, saved.dtype, saved.device)


def _equal(tensor: Tensor, saved: Tensor) -> bool:
    """Whether two tensors have the same bits; NaN equals itself."""
    return _alike(tensor, saved) and torch.equal(_bits(tensor), _bits(saved))


def _write(tensor: Tensor, saved: Tensor) -> None:
    # Through .data, which leaves the version alone: a training's graph may hold the tensor.
    if not _alike(tensor, saved):
        tensor.data = torch.empty_like(saved)
    tensor.data.copy_(saved)
