"""Watches torch's data loaders: which samples each batch holds, which worker made it, what it holds when handed over.

Nothing is drawn, sent or changed: the loader's own methods are wrapped, in the main process only.
"""

import functools
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from sys import _getframe
from types import FrameType, FunctionType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.data import dataloader

from lastbit.script.audit.batch_contents import checksums, named
from lastbit.script.audit.batches import Batch, Lines, LoaderCode
from lastbit.script.audit.program import frames, is_own, relative

_Loader = dataloader.DataLoader[Any]
_LINE, _EPOCH = "_lastbit_line", "_lastbit_epoch"  # kept by a loader, and by its iterator
_DEEP = 3  # steps from a data set to the objects that it holds


class LoaderWatcher(Protocol):
    """Is told what loaders do."""

    def open_loader(self, line: str | None, code: LoaderCode) -> None:
        """A loader made at this line is about to be iterated."""

    def note_batch(self, batch: Batch) -> None:
        """A batch's samples were drawn; and again, with its contents, when it is about to be handed over."""


@dataclass
class _Epoch:
    """A loader being iterated."""

    line: str | None
    number: int
    drawn: int = 0
    handed_over: int = 0
    indices: Any = None  # drawn last
    waiting: dict[int | None, deque[Batch]] = field(default_factory=lambda: defaultdict(deque))  # by worker


@contextmanager
def around_loaders(watcher: LoaderWatcher, counted: Counter[str]) -> Iterator[None]:
    """While the block runs, tell the watcher of every batch.

    Args:
        watcher: is told.
        counted: gets the number of batches that could not be looked into.
    """
    loaders = _Loaders(watcher, counted)
    single, several = dataloader._SingleProcessDataLoaderIter, dataloader._MultiProcessingDataLoaderIter
    wrapped = (
        (dataloader.DataLoader, "__init__", loaders.making),
        (dataloader.DataLoader, "__iter__", loaders.iterating),
        (dataloader._BaseDataLoaderIter, "_next_index", loaders.drawing),
        (single, "_next_data", loaders.fetching),
        (several, "_try_put_index", loaders.sending),
        (several, "_process_data", loaders.receiving),
    )
    with ExitStack() as undo:
        for kind, name, wrap in wrapped:
            original = getattr(kind, name)
            undo.callback(setattr, kind, name, original)
            setattr(kind, name, functools.wraps(original)(wrap(original)))
        yield


class _Loaders:
    """What is known of the loaders of this process; its methods make wrappers for those of torch's classes."""

    def __init__(self, watcher: LoaderWatcher, counted: Counter[str]) -> None:
        self._watcher, self._counted, self._process = watcher, counted, os.getpid()
        self._epochs: dict[str | None, int] = defaultdict(int)  # by the line of the loader
        self._opening: _Epoch | None = None

    def making(self, original: Callable[..., None]) -> Callable[..., None]:
        """Of `DataLoader.__init__`."""

        def __init__(loader: _Loader, *args: Any, **options: Any) -> None:  # noqa: N807
            original(loader, *args, **options)
            loader.__dict__.setdefault(_LINE, _own_line(_getframe(1)))  # not again by the class above

        return __init__

    def iterating(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Of `DataLoader.__iter__`."""

        def __iter__(loader: _Loader) -> Any:  # noqa: N807
            if os.getpid() != self._process:
                return original(loader)
            epoch = self._begin(loader)
            if (persistent := getattr(loader, "_iterator", None)) is not None:
                persistent.__dict__[_EPOCH] = epoch
            # Workers are given their first batches before there is an iterator to know the epoch by.
            outer, self._opening = self._opening, epoch
            try:
                iterator = original(loader)
            finally:
                self._opening = outer
            iterator.__dict__[_EPOCH] = epoch
            return iterator

        return __iter__

    def _begin(self, loader: _Loader) -> _Epoch:
        line = loader.__dict__.get(_LINE)
        if line not in self._epochs:
            self._watcher.open_loader(line, _code_of(loader))
        epoch = _Epoch(line, self._epochs[line])
        self._epochs[line] += 1
        return epoch

    def drawing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Of the method that draws the samples of the next batch."""

        def _next_index(iterator: Any) -> Any:
            indices = original(iterator)
            if (epoch := self._epoch(iterator)) is not None:
                epoch.indices = indices
                if iterator._num_workers == 0:
                    self._draw(epoch, iterator, None)
            return indices

        return _next_index

    def sending(self, original: Callable[..., None]) -> Callable[..., None]:
        """Of the method that gives a worker the samples of a batch to make."""

        def _try_put_index(iterator: Any) -> None:
            number = iterator._send_idx
            original(iterator)
            epoch = self._epoch(iterator)
            if epoch is not None and iterator._send_idx > number:
                self._draw(epoch, iterator, iterator._task_info[number][0])

        return _try_put_index

    def fetching(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Of the method that makes a batch in this process."""

        def _next_data(iterator: Any) -> Any:
            data = original(iterator)
            self._hand_over(iterator, None, data)
            return data

        return _next_data

    def receiving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Of the method that takes a batch from a worker."""

        def _process_data(iterator: Any, data: Any, worker: int) -> Any:
            data = original(iterator, data, worker)
            self._hand_over(iterator, worker, data)
            return data

        return _process_data

    def _epoch(self, iterator: Any) -> _Epoch | None:
        return iterator.__dict__.get(_EPOCH, self._opening) if os.getpid() == self._process else None

    def _draw(self, epoch: _Epoch, iterator: Any, worker: int | None) -> None:
        try:
            with _disable_current_modes():
                indices = named(epoch.indices)
        except Exception as error:  # whatever a sampler gives: the program goes on
            self._miss(error)
            indices = None
        seed = None if worker is None else int(iterator._base_seed)
        batch = Batch(epoch.line, epoch.number, epoch.drawn, None, worker, seed, indices, (), None)
        epoch.drawn += 1
        epoch.waiting[worker].append(batch)
        self._watcher.note_batch(batch)

    def _hand_over(self, iterator: Any, worker: int | None, data: Any) -> None:
        epoch = self._epoch(iterator)
        if epoch is None or not epoch.waiting[worker]:
            return
        batch = epoch.waiting[worker].popleft()  # a worker makes its batches in the order in which they were asked for
        place, epoch.handed_over = epoch.handed_over, epoch.handed_over + 1
        try:
            with _disable_current_modes():
                samples, whole = checksums(data, None if batch.indices is None else len(batch.indices))
        except Exception as error:
            self._miss(error)
            return
        self._watcher.note_batch(replace(batch, place=place, samples=samples, digest=whole))

    def _miss(self, error: Exception) -> None:
        if os.environ.get("LASTBIT_DEBUG"):
            raise error
        self._counted[f"batches of a loader ({type(error).__name__})"] += 1


def _own_line(frame: FrameType) -> str | None:
    """The innermost line of the user's own among a frame and its callers."""
    own = (caller for caller in frames(frame) if is_own(caller.f_code.co_filename))
    return next((relative(caller.f_code.co_filename, caller.f_lineno) for caller in own), None)


def _code_of(loader: _Loader) -> LoaderCode:
    samplers = [loader.batch_sampler, loader.sampler]
    makers = [loader.dataset, loader.collate_fn, loader.worker_init_fn]
    return LoaderCode(
        tuple({lines for sampler in samplers for lines in _lines_of(sampler, _DEEP)}),
        tuple({lines for maker in makers for lines in _lines_of(maker, _DEEP)}),
    )


def _lines_of(value: Any, deep: int) -> Iterator[Lines]:
    """The pieces of the user's own code that an object's class, and what the object holds, are written in."""
    functions = [value] if isinstance(value, FunctionType) else []
    for kind in () if functions else type(value).__mro__:
        functions += [method for method in vars(kind).values() if isinstance(method, FunctionType)]
    for function in functions:
        code = function.__code__
        if is_own(code.co_filename):
            yield code.co_filename, code.co_firstlineno, max(line or 0 for _, _, line in code.co_lines())
    if deep and not isinstance(value, Tensor | type(torch)):
        for held in list(getattr(value, "__dict__", {}).values()):
            yield from _lines_of(held, deep - 1)
