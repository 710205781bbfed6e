"""Sees each optimizer that a program makes, whatever its class and whoever calls it."""

import functools
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

OnOptimizer = Callable[[Optimizer], None]


def on_every_optimizer(act: OnOptimizer) -> None:
    """Call `act` once for each optimizer made from now on, as soon as its outermost `__init__` has returned.

    Constructors are wrapped class by class, those of subclasses defined later too, so it does not matter under which
    name a program imported the class or which framework calls it. Optimizers that only wrap another one (Accelerate's,
    look-ahead schemes, sharded ones) are passed over: the one they hold was met before.

    Args:
        act: called with the complete optimizer, before anybody else has it.
    """
    watch = _Watch(act)
    watch.wrap(Optimizer)
    for kind in _subclasses(Optimizer):
        watch.wrap(kind)
    _wrap_later_subclasses(watch)


class _Watch:
    """Wraps constructors so that the end of the outermost one is seen."""

    def __init__(self, act: OnOptimizer) -> None:
        self.act = act
        self._in_progress: set[int] = set()  # ids of optimizers whose outermost constructor is running

    def wrap(self, kind: type[Optimizer]) -> None:
        """Wrap the constructor of a class that defines one."""
        if "__init__" in vars(kind):
            kind.__init__ = self._wrapped(kind.__init__)  # type: ignore[method-assign]

    def _wrapped(self, construct: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(construct)
        def constructed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            """Construct the optimizer and note it, once also where classes call each other's constructors."""
            if id(optimizer) in self._in_progress:
                construct(optimizer, *args, **kwargs)
                return
            self._in_progress.add(id(optimizer))
            try:
                construct(optimizer, *args, **kwargs)
            finally:
                self._in_progress.discard(id(optimizer))
            if not _wraps_another(optimizer):
                self.act(optimizer)

        return constructed


def _wraps_another(optimizer: Optimizer) -> bool:
    own = vars(optimizer)
    return "param_groups" not in own or any(isinstance(value, Optimizer) for value in own.values())


def _subclasses(kind: type[Optimizer]) -> list[type[Optimizer]]:
    direct = kind.__subclasses__()
    return list(dict.fromkeys([*direct, *(below for subclass in direct for below in _subclasses(subclass))]))


def _wrap_later_subclasses(watch: _Watch) -> None:
    before = Optimizer.__init_subclass__

    def init_subclass(cls: type[Optimizer], /, **options: Any) -> None:
        """Watch a class that is derived later, too."""
        before(**options)
        watch.wrap(cls)

    Optimizer.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment]
