"""What a model, a loss or a data set can reach, remembered so that it can be put back.

An evaluation may change more than tensors: counters of modules, lists that hooks fill, generators of data sets, other
networks that the loss goes through. All of it hangs on the objects that are evaluated. `State` walks along these and
keeps a shallow copy of each.
"""

from __future__ import annotations

from torch import Tensor, nn

from lastbit.curvature.memories import Memory, of_array, of_dict, of_named, of_tensor
from lastbit.curvature.walk import Walk
from lastbit.curvature.way import Way
from lastbit.errors import LastbitError

_COPIED = 2**28  # bytes of tensors and arrays that are copied; of what is beyond, writes by torch alone are noticed


class State(Walk):
    """Everything that the roots reach, as it is now.

    Args:
        roots: what is about to be evaluated or read.
        whole: walk into objects of installed packages too, such as samplers. Otherwise into those that are modules
            only: a trainer or a logger, which threads of its own may be changing, stays out.
        outer: a state that is part of this one: what it has met is not walked along again.
        remember: False only lists what there is.

    Of an object of the user's own, such as the trainer that the loss is a method of, only those attributes count that
    code on the walk names: the others are its threads' and its training's affair, and are left as they are.
    """

    def __init__(self, *roots: object, whole: bool = False, outer: State | None = None, remember: bool = True) -> None:
        super().__init__(whole=whole, remember=remember)
        self._outer = outer
        self.passes: dict[int, State] = {}  # of data that are read again and again while this one is open
        if outer is not None:
            self.modules, self.loaders, self.devices = list(outer.modules), list(outer.loaders), set(outer.devices)
        self._walk([(Way(getattr(root, "__name__", type(root).__name__)), root) for root in roots])
        if remember:
            self._remember_rest()

    def covers(self, thing: object) -> bool:
        """Whether there is nothing, or nothing more, to remember of a thing."""
        return super().covers(thing) or (self._outer is not None and self._outer.covers(thing))

    def generators(self) -> list[str]:
        """The states of the random generators that the roots hold, as text."""
        before = [] if self._outer is None else self._outer.generators()
        return [*before, *(text() for text in self._generators)]

    def restore(self) -> None:
        """Put back what has changed since: all that can be, whatever cannot.

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

    def _remember_rest(self) -> None:
        """Attributes by the names found in the end; then what tensors and arrays hold, small ones first.

        Parameters are the last: while a model is evaluated, copies stand in for them.
        """
        for way, thing, _ in self._narrow:
            attributes = None if isinstance(thing, type) else getattr(thing, "__dict__", None)
            if isinstance(attributes, dict):
                self._memories.append(
                    of_dict(way, attributes) if self._named is None else of_named(way, attributes, self._named)
                )
        copied = 0
        self._contents.sort(key=lambda found: (isinstance(found[1], nn.Parameter), found[1].nbytes))
        for way, thing in self._contents:
            if isinstance(thing, Tensor):
                memories, more = of_tensor(way, thing, _COPIED - copied)
                self._memories.extend(memories)
                copied += more
            elif thing.nbytes <= _COPIED - copied:
                self._memories.append(of_array(way, thing))
                copied += thing.nbytes


def _failures(memory: Memory) -> list[Exception | None]:
    """Put one thing back where it has changed; empty unless that failed, None where it cannot be done."""
    try:
        if not memory.changed():
            return []
        if memory.put_back is None:
            return [None]
        memory.put_back()
    except Exception as error:  # the rest is to be put back all the same
        return [error]
    return []
