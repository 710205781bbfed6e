"""Which trials are still to be run, and whose each seed is: all of a seed's trials run on one kind of arithmetic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from lastbit.study.trial import Trial

Proof = str | None


class Columns:
    """Hands out the trials of a study, seed by seed, to workers of different proofs.

    A group of workers, those of one proof, goes on with the seeds that it has begun and then takes the next one that
    nobody has, whole. Faster and larger groups so get more seeds, and a worker that comes later takes part. In its
    first seed a group runs the controls before everything else.

    Args:
        waiting: the trials to be run of each seed, in the study's order of seeds; a seed with none has an empty list.
        owners: the proof of each seed of which a trial is stored.
        controls: gives the control trials at a seed that are not stored yet.
    """

    def __init__(
        self,
        waiting: Mapping[int, Sequence[Trial]],
        owners: Mapping[int, str],
        controls: Callable[[int], Sequence[Trial]],
    ) -> None:
        self._order = {seed: place for place, seed in enumerate(waiting)}
        self._controls = controls
        self._free = deque(seed for seed, trials in waiting.items() if trials and seed not in owners)
        self._waiting = {seed: deque(trials) for seed, trials in waiting.items()}
        self._owned: dict[Proof, deque[int]] = {}  # with trials waiting
        self.firsts: dict[Proof, int] = {}  # the seed at which each group runs the controls
        for seed, proof in owners.items():
            self._own(seed, proof)
        for owner, first in self.firsts.items():
            self._lead(owner, first)

    def next_for(self, proof: Proof) -> Trial | None:
        """The next trial for a worker of this proof; None where there is none left for it."""
        owned = self._owned.setdefault(proof, deque())
        if not owned and self._free:
            seed = self._free.popleft()
            first = self.firsts.get(proof)
            self._own(seed, proof)
            if self.firsts[proof] != first:
                self._lead(proof, seed)
        if not owned:
            return None
        trial = self._waiting[owned[0]].popleft()
        if not self._waiting[owned[0]]:
            owned.popleft()
        return trial

    def stranded(self, proofs: Iterable[Proof]) -> dict[int, Proof]:
        """Seeds that were begun, are not complete, and belong to none of these proofs."""
        here = set(proofs)
        return {seed: proof for proof, seeds in self._owned.items() if proof not in here for seed in seeds}

    @property
    def is_empty(self) -> bool:
        """Whether every trial was handed out."""
        return not self._free and not any(self._owned.values())

    def _own(self, seed: int, proof: Proof) -> None:
        owned = self._owned.setdefault(proof, deque())
        if self._waiting[seed]:
            owned.append(seed)
        first = self.firsts.get(proof)
        if first is None or self._order[seed] < self._order[first]:
            self.firsts[proof] = seed

    def _lead(self, proof: Proof, seed: int) -> None:
        """Put the controls at a group's first seed before what else it is to run."""
        controls = self._controls(seed)
        there = {trial.id for trial in controls}
        rest = [trial for trial in self._waiting[seed] if trial.id not in there]
        owned = self._owned[proof]
        if seed in owned:
            owned.remove(seed)
        self._waiting[seed] = deque([*controls, *rest])
        if self._waiting[seed]:
            owned.appendleft(seed)
