"""Puts together what a run knows of an operation, for the account that it leaves."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lastbit.script.audit.account import Account, values
from lastbit.script.audit.call import Call
from lastbit.script.audit.generators import generators
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.memory import Memory
from lastbit.script.audit.origins import Origins
from lastbit.script.audit.place import Program
from lastbit.script.audit.whereabouts import whereabouts


class Teller:
    """Knows the program, and tells what an operation of it is.

    Args:
        lockstep: the line to the other run.
        memory: of this run.
        python_state: digest of the state of Python's `random` before the program's first line.
    """

    def __init__(self, lockstep: Lockstep, memory: Memory, python_state: int) -> None:
        self._lockstep, self._memory = lockstep, memory
        self._program = Program()
        self.origins = Origins(self._program)
        self.start = replace(generators(), python_state=python_state)

    def account(
        self, call: Call, compared: Sequence[Tensor], *, reading: bool, trials: dict[str, tuple[int, ...]]
    ) -> Account:
        """What there is to say of an operation.

        Args:
            call: the operation.
            compared: the tensors that were compared.
            reading: whether those are what it reads from outside torch.
            trials: what came of doing it again.
        """
        operation, frame = call.operation, call.frame
        where = whereabouts(frame, self._program, self.origins)
        changed = operation.changed(call.args, call.kwargs)
        unchanged = [t for t, _ in call.inputs if reading or not any(t is each for each in changed)]
        return Account(
            op=operation.name,
            reading=reading,
            alone=self._lockstep.other_ended,
            random=operation.random,
            phase=where.phase,
            step=self._lockstep.steps(),
            module=where.module,
            line=where.line,
            called_from=where.called_from,
            outputs=values(list(compared), self._memory, self.origins, frame),
            inputs=values(unchanged, self._memory, self.origins, frame),
            numbers=operation.numbers(call.args, call.kwargs),
            generator_seed=operation.generator_seed(call.args, call.kwargs),
            trials=trials,
            threads=torch.get_num_threads(),
            start=self.start,
            now=generators(),
            files=tuple(self._program.files()),
        )

    def files(self) -> list[str]:
        """The user's own files that were seen at work."""
        return self._program.files()
