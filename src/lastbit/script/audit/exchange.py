"""Two runs show each other the tensors that they disagree about, and agree on what to do."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.plain import cpu_copy

_FILE = "shown.safetensors"


class Exchange:
    """The line by which runs that disagree come to terms.

    Args:
        lockstep: the line to the other run.
        mine: this run's directory.
        theirs: the other's.
    """

    def __init__(self, lockstep: Lockstep, mine: Path, theirs: Path) -> None:
        self._lockstep, self._mine, self._theirs = lockstep, mine, theirs

    def swap(self, topic: int, tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]] | None:
        """Show tensors, all plain; give each with the other run's. None where the other is about something else.

        Args:
            topic: a number that stands for what the tensors are, their shapes and dtypes included.
            tensors: the same number in either run, if the topic is the same.
        """
        copies = [cpu_copy(tensor) for tensor in tensors]
        named = {f"{place:06d}": copy for place, copy in enumerate(copies)}
        (self._mine / _FILE).write_bytes(save(named))
        if not self._lockstep.agree_aside(topic):
            return None
        others = load_file(self._theirs / _FILE)
        return [(copy, others[name]) for name, copy in named.items()]

    def settle(self, verdict: int) -> int:
        """Say a verdict, above 0; give it where the other run's is the same, otherwise 0.

        Neither goes on before both have said theirs, so what they showed has been read.
        """
        return verdict if self._lockstep.agree_aside(verdict) else 0
