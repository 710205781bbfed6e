"""What is known of the first event at which two runs differ."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lastbit.script.audit.account import Account, Value
from lastbit.script.audit.suspects import ENVIRONMENT, HASH, ORDER, Suspect, find_suspects


@dataclass(frozen=True)
class Evidence:
    """Both runs' accounts of their first difference, and what can be read from them."""

    one: Account
    other: Account
    index: int  # of the first tensor compared that differs
    permuted: bool  # it holds the same values in another order

    @property
    def parted(self) -> bool:
        """Whether the runs do different things, so that there are no two tensors to compare."""
        return self.one.op != self.other.op or self.one.reading != self.other.reading or self.one.alone

    @property
    def changed_inputs(self) -> list[Value]:
        """Values that the operation takes and that differ, though no operation made them differ."""
        pairs = zip(self.one.inputs, self.other.inputs, strict=False)
        return [value for value, other in pairs if value.digest != other.digest]

    @property
    def changed_numbers(self) -> dict[str, tuple[str, str]]:
        """Arguments that are numbers and differ."""
        numbers, others = self.one.numbers, self.other.numbers
        return {name: (numbers[name], others[name]) for name in numbers if numbers[name] != others.get(name)}

    @property
    def unwritten(self) -> bool:
        """Whether the operation takes memory that was allocated and not wholly written."""
        return any(value.unwritten for value in (*self.changed_inputs, *self.one.outputs))

    def agree_again(self, how: str) -> bool:
        """Whether the operation, done once more in this way, gave the same in both runs; False where it was not."""
        mine, others = self.one.trials.get(how), self.other.trials.get(how)
        return mine is not None and mine == others

    @property
    def device(self) -> str:
        """Where the tensor is that differs."""
        return self.one.outputs[self.index].device if self.one.outputs else "cpu"

    @property
    def drawn_differently(self) -> list[str]:
        """Generators outside torch that the program drew from, or seeded, and that are not in the same state."""
        one, other = self.one, self.other
        states = {
            "Python's random": (one.start.python_state, one.now.python_state, other.now.python_state),
            "numpy.random": (one.start.numpy_state, one.now.numpy_state, other.now.numpy_state),
        }
        return [name for name, (start, now, others) in states.items() if now not in (start, others)]

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """Calls in the user's files that give other values in every run, the likeliest first."""
        found = [suspect for file in self.one.files for suspect in find_suspects(Path(file))]
        return tuple(sorted(found, key=self._unlikeliness))

    def is_on_the_line(self, suspect: Suspect) -> bool:
        """Whether a suspect is on the very line of the difference."""
        file, _, line = (self.one.line or ":").rpartition(":")
        return suspect.file == str(Path(file).absolute()) and str(suspect.line) == line

    def _unlikeliness(self, suspect: Suspect) -> tuple[bool, bool, bool, int]:
        file, _, number = (self.one.line or ":0").rpartition(":")
        line, (first, last) = int(number), suspect.function
        around = suspect.file == str(Path(file).absolute()) and first <= line <= last
        order = suspect.category in (HASH, ORDER)
        return (
            not self.is_on_the_line(suspect),
            suspect.category == ENVIRONMENT or (self.permuted and not order),
            not around,
            abs(line - suspect.line),
        )
