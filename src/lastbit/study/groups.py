"""Hands out trials to the workers of a cluster, each of which has proved itself: a seed to workers of one proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial

from lastbit.errors import LastbitError
from lastbit.execution.cluster import Cluster, Worker
from lastbit.execution.versions import versions
from lastbit.execution.watched import Watched
from lastbit.study.columns import Columns, Proof
from lastbit.study.execute import Job, Outcome
from lastbit.study.hand_out import LOOK, check_columns
from lastbit.study.introduction import Introduction, checksum, introduce
from lastbit.study.trial import Trial

_AHEAD = 1  # trials that wait for a group besides those its workers are at, so that none of them is idle for long
_NAMED = 3  # workers that a message names


class ProvenWorkers:
    """A desk for a cluster.

    Args:
        executor: the cluster, perhaps watched.
        cluster: the one behind it.
        job: runs trials.
        columns: of the study.
        on_remark: told in words what a person should know.

    Raises:
        LastbitError: a worker that is there cannot take part, or a seed was begun on an arithmetic that none gives.
    """

    def __init__(
        self,
        executor: Cluster | Watched,
        cluster: Cluster,
        job: Job,
        columns: Columns,
        on_remark: Callable[[str], None],
    ) -> None:
        self._executor, self._cluster = executor, cluster
        self._job, self._columns, self._say = job, columns, on_remark
        self._study = checksum(job)
        self._introductions: dict[str, Future[Introduction]] = {}  # by address
        self._proofs: dict[str, Proof] = {}  # by address, of those that may take part
        self._aside: set[str] = set()  # addresses of those that may not, which was said
        self._open: dict[Proof, int] = {}  # trials handed out to a group and not ended
        self._missed: set[Proof] = set()  # groups without a worker, which was said
        self._meet_all()

    def more(self) -> Iterator[tuple[Trial, Future[Outcome]]]:
        """Hand out as many as keep the proven workers busy, and let those that came lately prove themselves."""
        self._meet()
        groups = self._groups()
        for proof, workers in groups.items():
            room = len(workers) + _AHEAD
            while self._open.get(proof, 0) < room and (trial := self._columns.next_for(proof)) is not None:
                yield trial, self._submit(proof, trial)
        self._miss({proof for proof, count in self._open.items() if count and proof not in groups})

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be handed out."""
        return self._columns.is_empty

    def _submit(self, proof: Proof, trial: Trial) -> Future[Outcome]:
        future = self._executor.submit_to(lambda worker: self._belongs(worker, proof), self._job, trial)
        self._open[proof] = self._open.get(proof, 0) + 1
        future.add_done_callback(lambda _: self._close(proof))
        return future

    def _belongs(self, worker: Worker, proof: Proof) -> bool:
        return worker.address in self._proofs and self._proofs[worker.address] == proof

    def _close(self, proof: Proof) -> None:
        self._open[proof] -= 1

    def _miss(self, proofs: set[Proof]) -> None:
        for proof in proofs - self._missed:
            self._say(f"no worker of arithmetic {proof} is left: its trials wait for one")
        self._missed = proofs

    def _groups(self) -> dict[Proof, list[Worker]]:
        """The proven workers by their proofs."""
        groups: dict[Proof, list[Worker]] = {}
        for worker in self._able():
            if worker.address in self._proofs:
                groups.setdefault(self._proofs[worker.address], []).append(worker)
        return groups

    def _able(self) -> list[Worker]:
        """The workers that have the device."""
        return [worker for worker in self._cluster.workers() if worker.gpus or not self._job.needs_gpu]

    def _meet_all(self) -> None:
        """Let all workers that are there prove themselves, and refuse those that cannot."""
        if not self._cluster.workers():
            self._say("the scheduler has no workers yet: waiting for some, as `lastbit worker` starts them")
        elif not self._able():
            raise LastbitError(
                "no worker has a GPU to give, Dask's resource GPU=1: start them with `lastbit worker ADDR --gpus N`, "
                "or give --device cpu"
            )
        self._invite()
        while proving := self._proving():
            wait(proving, timeout=LOOK)
        workers = {worker.address: worker for worker in self._cluster.workers()}
        said = {
            address: found.result()
            for address, found in self._introductions.items()
            if address in workers and found.done()
        }
        wrong = {found.complaint: workers[address] for address, found in said.items() if found.complaint}
        if wrong:
            raise LastbitError("; ".join(f"worker {worker}: {complaint}" for complaint, worker in wrong.items()))
        self._proofs |= {address: found.proof for address, found in said.items()}
        if self._proofs:
            check_columns(self._columns, self._in_words())
        if len(set(self._proofs.values())) > 1:
            groups = "; ".join(f"{proof}: {names}" for proof, names in self._in_words().items())
            self._say(f"workers of different arithmetic, each with whole seeds of its own: {groups}")

    def _proving(self) -> list[Future[Introduction]]:
        """Of the workers that are still there, the introductions that are awaited."""
        there = {worker.address for worker in self._cluster.workers()}
        return [found for address, found in self._introductions.items() if address in there and not found.done()]

    def _invite(self) -> None:
        for worker in self._able():
            if worker.address not in self._introductions:
                only = partial(_is, worker.address)
                self._introductions[worker.address] = self._cluster.submit_to(
                    only, introduce, self._job, self._study, versions()
                )

    def _meet(self) -> None:
        """Take in those that came lately; one that cannot take part is left aside, and said to be."""
        self._invite()
        for address, found in self._introductions.items():
            if address in self._proofs or not found.done() or found.cancelled():
                continue
            error = found.exception()
            if error is None and found.result().complaint is None:
                self._proofs[address] = found.result().proof
            elif address not in self._aside:
                self._aside.add(address)
                self._say(f"worker {address} is left aside: {error or found.result().complaint}")

    def _in_words(self) -> dict[Proof, str]:
        return {proof: _some([worker.name for worker in workers]) for proof, workers in self._groups().items()}


def _is(address: str, worker: Worker) -> bool:
    return worker.address == address


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
