"""Submits jobs to the workers of a cluster after a handshake: a seed group to workers of one bit fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Generic

from lastbit.errors import LastbitError, shortened
from lastbit.execution.cluster import Cluster
from lastbit.execution.jobs import LOOK, BitFingerprint, J, Outcome, Runner, SeedGroups
from lastbit.execution.scheduler import Handshake, Worker, description_checksum, own_versions, shake_hands

SubmitTo = Callable[..., Future[Any]]
_AHEAD = 1  # jobs queued beyond one for each worker, so that no worker is idle for long
_NAMED = 3  # workers that a message names


class ClusterDispatcher(Generic[J]):
    """Submits jobs to the workers of a cluster.

    Args:
        submit_to: submits a call to the workers that fit, as `Cluster.submit_to` does.
        cluster: whose workers they are.
        runner: runs jobs.
        groups: the jobs that are wanted.
        on_remark: called with a remark for the user.

    Raises:
        LastbitError: a worker that is there cannot take part, or none has the bit fingerprint of a seed that was begun.
    """

    def __init__(
        self,
        submit_to: SubmitTo,
        cluster: Cluster,
        runner: Runner[J],
        groups: SeedGroups[J],
        on_remark: Callable[[str], None],
    ) -> None:
        self._submit_to, self._cluster = submit_to, cluster
        self._runner, self._groups, self._say = runner, groups, on_remark
        self._description = description_checksum(runner)
        self._handshakes: dict[str, Future[Handshake]] = {}  # by address
        self._bits: dict[str, BitFingerprint] = {}  # by address, of accepted workers
        self._aside: set[str] = set()  # addresses of refused workers, once reported
        self._open: dict[BitFingerprint, int] = {}  # submitted jobs of a fingerprint that have not ended
        self._missed: set[BitFingerprint] = set()  # fingerprints without a worker, once reported
        self._meet_all()

    def more(self) -> Iterator[tuple[J, Future[Outcome[J]]]]:
        """Submit as many jobs as keep the workers busy, after handshakes with new workers."""
        self._meet()
        there = self._by_bits()
        for bits, workers in there.items():
            room = len(workers) + _AHEAD
            while self._open.get(bits, 0) < room and (job := self._groups.next_for(bits)) is not None:
                yield job, self._submit(bits, job)
        self._miss({bits for bits, count in self._open.items() if count and bits not in there})

    @property
    def is_done(self) -> bool:
        """Whether no job is left to submit."""
        return self._groups.is_empty

    def _submit(self, bits: BitFingerprint, job: J) -> Future[Outcome[J]]:
        future = self._submit_to(lambda worker: self._has(worker, bits), self._runner, job)
        self._open[bits] = self._open.get(bits, 0) + 1
        future.add_done_callback(lambda _: self._close(bits))
        return future

    def _has(self, worker: Worker, bits: BitFingerprint) -> bool:
        return worker.address in self._bits and self._bits[worker.address] == bits

    def _close(self, bits: BitFingerprint) -> None:
        self._open[bits] -= 1

    def _miss(self, fingerprints: set[BitFingerprint]) -> None:
        for bits in fingerprints - self._missed:
            self._say(f"no worker of bit fingerprint {bits} is left: its trials wait for one")
        self._missed = fingerprints

    def _by_bits(self) -> dict[BitFingerprint, list[Worker]]:
        """The workers that may take part, by their bit fingerprints."""
        there: dict[BitFingerprint, list[Worker]] = {}
        for worker in self._able():
            if worker.address in self._bits:
                there.setdefault(self._bits[worker.address], []).append(worker)
        return there

    def _able(self) -> list[Worker]:
        """The workers that have the device."""
        return [worker for worker in self._cluster.workers() if worker.gpus or not self._runner.needs_gpu]

    def _meet_all(self) -> None:
        """Complete the handshakes of all connected workers, and refuse those that cannot take part."""
        if not self._cluster.workers():
            self._say("the scheduler has no workers yet: waiting for some, as `lastbit worker` starts them")
        elif not self._able():
            raise LastbitError(
                "no worker has a GPU to give, Dask's resource GPU=1: start them with `lastbit worker ADDR --gpus N`, "
                "or give --device cpu"
            )
        self._invite()
        while pending := self._pending():
            wait(pending, timeout=LOOK)
        workers = {worker.address: worker for worker in self._cluster.workers()}
        ended = {
            address: handshake.result()
            for address, handshake in self._handshakes.items()
            if address in workers and handshake.done()
        }
        wrong = {handshake.complaint: workers[address] for address, handshake in ended.items() if handshake.complaint}
        if wrong:
            raise LastbitError("; ".join(f"worker {worker}: {complaint}" for complaint, worker in wrong.items()))
        self._bits |= {address: handshake.bits for address, handshake in ended.items()}
        if self._bits:
            self._groups.check(self._in_words())
        if len(set(self._bits.values())) > 1:
            groups = "; ".join(f"{bits}: {names}" for bits, names in self._in_words().items())
            self._say(f"workers of different bit fingerprints, which share no seed: {groups}")

    def _pending(self) -> list[Future[Handshake]]:
        """The handshakes of connected workers that have not ended."""
        there = {worker.address for worker in self._cluster.workers()}
        return [
            handshake for address, handshake in self._handshakes.items() if address in there and not handshake.done()
        ]

    def _invite(self) -> None:
        for worker in self._able():
            if worker.address not in self._handshakes:
                only = partial(_is, worker.address)
                self._handshakes[worker.address] = self._cluster.submit_to(
                    only, shake_hands, self._runner, self._description, own_versions()
                )

    def _meet(self) -> None:
        """Accept workers that joined later; one that cannot take part is set aside with a remark."""
        self._invite()
        for address, handshake in self._handshakes.items():
            if address in self._bits or not handshake.done() or handshake.cancelled():
                continue
            error = handshake.exception()
            if error is None and handshake.result().complaint is None:
                self._bits[address] = handshake.result().bits
            elif address not in self._aside:
                self._aside.add(address)
                self._say(f"worker {address} is left aside: {error or handshake.result().complaint}")

    def _in_words(self) -> dict[BitFingerprint, str]:
        return {
            bits: shortened([worker.name for worker in workers], _NAMED) for bits, workers in self._by_bits().items()
        }


def _is(address: str, worker: Worker) -> bool:
    return worker.address == address
