"""Which record made the values that a tensor's memory holds, and which parameter a tensor belongs to."""

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.optim import Optimizer

from lastbit.script.audit.bits import is_plain
from lastbit.script.audit.place import Locator
from lastbit.script.trace.records import Origin
from lastbit.tensors import local

_WAYS = frozenset({"foreach", "fused", "capturable", "differentiable"})  # how an optimizer computes
_FEWEST = 4096  # entries before it is worth looking for those whose memory is gone


class Origins:
    """The record that last wrote each storage. It keeps none of them alive, and forgets those that are gone."""

    def __init__(self) -> None:
        # The weak reference keeps the address of the storage's record, its key, from being given to another.
        self._known: dict[int, tuple[StorageWeakRef, Origin, bool]] = {}
        self._sweep_at = _FEWEST

    def of(self, tensor: Tensor) -> tuple[Origin, bool]:
        """The record that made it, and whether its values are known: those that another process sends are not."""
        known = self._known.get(tensor.untyped_storage()._cdata)
        return (None, False) if known is None else (known[1], known[2])

    def learn(self, tensor: Tensor, origin: Origin) -> None:
        """Note which record has written it, or None for memory without values."""
        self._learn(tensor, origin, known=True)

    def expect(self, tensor: Tensor, origin: Origin) -> None:
        """Note that another process's values will be there, in consequence of this record."""
        self._learn(tensor, origin, known=False)

    def is_expected(self, tensor: Tensor) -> bool:
        """Whether another process's values will be there, and may not be yet."""
        known = self._known.get(tensor.untyped_storage()._cdata) if is_plain(tensor) else None
        return known is not None and not known[2]

    def _learn(self, tensor: Tensor, origin: Origin, *, known: bool) -> None:
        storage = tensor.untyped_storage()
        before = self._known.get(storage._cdata)
        if before is None and len(self._known) >= self._sweep_at:
            self._sweep()
        reference = StorageWeakRef(storage) if before is None else before[0]  # type: ignore[no-untyped-call]
        self._known[storage._cdata] = reference, origin, known

    def forget(self, tensor: Tensor) -> None:
        """Note that its memory is somebody else's."""
        self._known.pop(tensor.untyped_storage()._cdata, None)

    def _sweep(self) -> None:
        gone = [key for key, (storage, *_) in self._known.items() if storage.expired()]  # type: ignore[no-untyped-call]
        for key in gone:
            del self._known[key]
        self._sweep_at = max(_FEWEST, 2 * len(self._known))


class ParameterNames:
    """The names of parameters, and in an update those of the parameters that gradients and states belong to.

    Args:
        locator: knows the modules that were called.
    """

    def __init__(self, locator: Locator) -> None:
        self._locator = locator
        self._names: dict[int, str] = {}  # by the parameter's id
        self._updated: dict[int, str] = {}  # by the address of the storage's record, during an update

    def begin_update(self, optimizer: Optimizer, frame: FrameType | None) -> None:
        """Note what an optimizer is about to work on."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if any(id(parameter) not in self._names for parameter in parameters):
            unnamed = {id(p): f"{type(optimizer).__name__} parameter {place}" for place, p in enumerate(parameters)}
            self._names |= unnamed | self._locator.parameter_names(frame)
        self._updated.clear()
        for parameter in parameters:
            state = optimizer.state.get(parameter, {})
            held = (parameter, parameter.grad, *(state.values() if isinstance(state, dict) else ()))
            for tensor in held:
                part = local(tensor) if isinstance(tensor, Tensor) else None  # of one that is split over processes
                if part is not None and is_plain(part):
                    self._updated[part.untyped_storage()._cdata] = self._names[id(parameter)]

    def end_update(self) -> None:
        """Forget it: gradients are about to be freed."""
        self._updated.clear()

    def updated(self, inputs: Sequence[Tensor], results: Sequence[Tensor]) -> str | None:
        """The parameter that an operation of an update works on: that of its first input which belongs to one.

        What it gives belongs to the same from then on.
        """
        if not self._updated:
            return None
        keys = (tensor.untyped_storage()._cdata for tensor in inputs if is_plain(tensor))
        name = next((self._updated[key] for key in keys if key in self._updated), None)
        for tensor in results:
            if is_plain(tensor):
                key = tensor.untyped_storage()._cdata
                if name is None:
                    self._updated.pop(key, None)  # of memory that was freed, and is another's now
                else:
                    self._updated[key] = name
        return name

    def of(self, parameter: Tensor, frame: FrameType | None) -> str | None:
        """The name of a parameter of a module that was called."""
        return self._locator.parameter_names(frame).get(id(parameter))


def steps_inside_another(step: FrameType) -> bool:
    """Whether an optimizer's step is part of another's that is at work, as ZeRO's wraps one.

    The stack says it: a step that raised has left no trace there, and no hook behind a step is told of it.

    Args:
        step: torch's own frame around the step, which calls the hooks.
    """
    frame = step.f_back
    while frame is not None and frame.f_code is not step.f_code:
        frame = frame.f_back
    return frame is not None


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """Its class and, for each group of parameters, the settings that are plain numbers; not how it computes."""
    return {"optimizer": type(optimizer).__name__, "groups": [_numbers(group) for group in optimizer.param_groups]}


def _numbers(group: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in group.items()}
    plain = {name: value for name, value in plain.items() if name not in _WAYS and name != "params"}
    return {name: value for name, value in plain.items() if type(value) in (bool, int, float, list)}
