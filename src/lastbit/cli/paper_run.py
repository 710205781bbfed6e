"""Runs the paper's items for a command: what they take, a progress bar, and what to say of those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lastbit.cli.interrupt import gentle_interrupts
from lastbit.cli.progress import progress_bar
from lastbit.cli.workers import Crew
from lastbit.errors import LastbitError
from lastbit.execution.watched import Watched
from lastbit.paper.catalogue import find_items
from lastbit.paper.item import Item
from lastbit.paper.names import SCALES
from lastbit.paper.needs import Needs, check_data, check_room, needs
from lastbit.paper.page import claims_of
from lastbit.paper.results import Results
from lastbit.paper.suite import Ended, run_items, traceback_of
from lastbit.report.paper import duration
from lastbit.storage.files import writing
from lastbit.storage.lock import directory_lock


def asked(names: Sequence[str], scale: str, out: Path | None) -> tuple[list[Item], Results]:
    """The items of these names, and the directory of results.

    Raises:
        LastbitError: there is no such item or scale, or the directory is another scale's or something else's.
    """
    if scale not in SCALES:
        raise LastbitError(f"--scale {scale}: allowed are {', '.join(SCALES)}")
    results = Results(out or default_directory(scale), scale)
    items = find_items(names)
    results.check()
    return items, results


def default_directory(scale: str) -> Path:
    """Where results are kept if nobody says where."""
    return Path("runs") / f"paper-{scale}"


def checked_needs(pending: Sequence[Item], results: Results, *, work: Path, crew: Crew) -> Needs:
    """What the items to run take, held against this machine.

    Args:
        pending: the items.
        results: where their results go.
        work: where their trainings go.
        crew: runs them; of a cluster, only the disk can be known here.

    Raises:
        LastbitError: data sets, memory or disk space are missing.
    """
    wanted = needs(pending, results.scale, workers=crew.workers)
    here = crew.scheduler is None
    if here:
        check_data(wanted.data)
    check_room(wanted, directory=work, scale=results.scale, memory=here)
    return wanted


def announcement(
    items: Sequence[Item], pending: Sequence[Item], wanted: Needs, scale: str, crew: str, device: str
) -> str:
    """What is about to happen, in a sentence."""
    stored = len(items) - len(pending)
    kept = f"{stored} of {len(items)} items are stored already" if stored else ""
    if not pending:
        return f"scale {scale}: {kept}"
    number = f"{len(pending)} item{'s' if len(pending) > 1 else ''} to run"
    begun = f"scale {scale}: {number}, about {duration(wanted.seconds)} on {crew}{_without(device)}"
    return f"{begun}; {kept}" if kept else begun


def _without(device: str) -> str:
    """What an estimate, which is of CPUs, does not know."""
    return "" if device == "cpu" else f" if all were on CPUs; networks are trained on {device}"


def run_pending(
    pending: Sequence[Item],
    results: Results,
    *,
    work: Path,
    crew: Crew,
    device: str,
    wanted: Needs,
    begin: Callable[[], None],
) -> list[str]:
    """Run items with a progress bar, store each as it ends, and say in a line each which failed.

    Args:
        pending: the items.
        results: where their results go.
        work: where their trainings go.
        crew: runs them.
        device: where networks are trained.
        wanted: what they take, for the time left.
        begin: called once the workers are there, or where there is nothing to run.

    Raises:
        LastbitError: the scheduler does not answer, or another run is at these trainings.
        StoppedCommandError: Ctrl-C, and what was in progress then is stored.
    """
    if not pending:
        begin()
        return []
    failures = []
    with crew.executor() as inner, _held(work), progress_bar(f"paper, {results.scale}", "jobs") as show:
        begin()
        watched = Watched(inner, lambda done, given: show(done=done, total=given))
        show(left=wanted.seconds)
        begun = time.monotonic()
        with gentle_interrupts(watched):
            results.write_index(claims_of(results))  # the directory is this scale's from here on
            waiting = list(pending)
            for each in run_items(pending, results.scale, executor=watched, directory=work, device=device):
                waiting.remove(each.item)
                remark = f"{len(pending) - len(waiting)} of {len(pending)} items, last {each.item.id}"
                show(left=_left(pending, waiting, results.scale, time.monotonic() - begun), remark=remark)
                failures += _keep(each, results)
    return failures


@contextmanager
def _held(work: Path) -> Iterator[None]:
    """Keep other runs out of a directory of trainings; one that is in use ends the command."""
    with ExitStack() as stack:
        with writing(work):
            work.mkdir(parents=True, exist_ok=True)
            stack.enter_context(directory_lock(work))
        yield


def _left(pending: Sequence[Item], waiting: Sequence[Item], scale: str, elapsed: float) -> float:
    """Seconds to go, if what waits takes in proportion as long as what has ended."""
    whole, rest = (sum(item.scale(scale).cost.seconds for item in items) for items in (pending, waiting))
    return elapsed * rest / (whole - rest)


def _keep(ended: Ended, results: Results) -> list[str]:
    """Store how an item went, and say so where it failed."""
    if ended.made is not None:
        results.save(ended.item, ended.made)
        return []
    error = ended.error or RuntimeError("it gave no result")
    path = results.save_failure(ended.item, traceback_of(error))
    first = (str(error).splitlines() or [""])[0]
    return [f"{ended.item.id} failed, {type(error).__name__}: {first} (traceback in {path})"]
