"""Batches that loaders hand over, and how those of two runs differ: other samples, another order, other contents."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_KEPT = 256  # batches
_SHOWN = 6  # samples in a sentence

Lines = tuple[str, int, int]  # a file, and the first and the last line of a piece of it


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of a loader, from when its samples are drawn; numbers count from 0."""

    loader: str | None  # line where the loader was made, as `train.py:30`
    epoch: int  # how often a loader made there was iterated before
    number: int  # in the order in which the samples of the epoch's batches were drawn
    place: int | None  # in the order in which they were handed over; None as long as it was not
    worker: int | None  # that made it; None in the main process
    seed: int | None  # from which torch seeds the workers; worker w begins with seed + w
    indices: tuple[int | str, ...] | None  # of its samples; None of an iterable data set, which has none
    samples: tuple[int, ...]  # checksum of each, where the batch holds one behind the other
    digest: int | None  # checksum of all of it; None as long as it was not handed over

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return f"batch {self.number} (epoch {self.epoch}) of the loader at {self.loader or 'a line of a library'}"


@dataclass(frozen=True)
class LoaderCode:
    """The user's own code behind a loader."""

    order: tuple[Lines, ...] = ()  # of its samplers
    contents: tuple[Lines, ...] = ()  # of its data set and what puts batches together

    def holds(self, file: str, line: int) -> bool:
        """Whether a line is in it."""
        return any(file == other and first <= line <= last for other, first, last in (*self.order, *self.contents))


@dataclass(frozen=True)
class BatchDifference:
    """The first batch that two runs' loaders do not have in common."""

    batch: Batch  # of the first run
    what: str  # a clause, such as `batch 3 ... holds ...: other samples`
    code: LoaderCode  # the code that may have made the difference


class BatchLog:
    """The latest batches of a run, and the code behind its loaders."""

    def __init__(self) -> None:
        self._batches: OrderedDict[tuple[str | None, int, int], Batch] = OrderedDict()
        self.code: dict[str, LoaderCode] = {}  # by the line of the loader

    @property
    def batches(self) -> tuple[Batch, ...]:
        """In the order in which their samples were drawn."""
        return tuple(self._batches.values())

    def open_loader(self, line: str | None, code: LoaderCode) -> None:
        """Note the code behind a loader that is about to be iterated."""
        self.code[line or ""] = code

    def note_batch(self, batch: Batch) -> None:
        """Note a batch; once more when it is handed over."""
        self._batches[batch.loader, batch.epoch, batch.number] = batch
        if len(self._batches) > _KEPT:
            self._batches.popitem(last=False)


def first_differing_batch(
    one: Sequence[Batch], other: Sequence[Batch], code: Mapping[str, LoaderCode]
) -> BatchDifference | None:
    """Find the first batch that differs; None where all that both runs have agree.

    A loader is the one made at the same line or, in a program with other lines, the n-th that gave batches.

    Args:
        one: of one run.
        other: of the other.
        code: behind the loaders.
    """
    theirs = {(batch.loader, batch.epoch, batch.number): batch for batch in other}
    places: dict[tuple[str | None, int, int | None], Batch] = {}
    places |= {(batch.loader, batch.epoch, batch.place): batch for batch in other if batch.place is not None}
    partners = _partners(one, other)
    for batch in one:
        behind = code.get(batch.loader or "", LoaderCode())
        partner = partners.get(batch.loader, batch.loader)
        match = theirs.get((partner, batch.epoch, batch.number))
        if match is not None and match.indices != batch.indices:
            return BatchDifference(
                batch, f"{batch.name} {_other_samples(batch, match)}", LoaderCode(order=behind.order)
            )
        same_place = places.get((partner, batch.epoch, batch.place))
        if same_place is not None and same_place.number != batch.number:
            arrives = f"{batch.name} comes where the other run gets batch {same_place.number}"
            return BatchDifference(batch, f"the batches arrive in another order: {arrives}", LoaderCode())
        if match is not None and None not in (batch.digest, match.digest) and batch.digest != match.digest:
            what = f"{batch.name} {_other_contents(batch, match)}"
            return BatchDifference(batch, what, LoaderCode(contents=behind.contents))
    return None


def _partners(one: Sequence[Batch], other: Sequence[Batch]) -> dict[str | None, str | None]:
    """For each loader of one run, that of the other."""
    mine, theirs = (list(dict.fromkeys(batch.loader for batch in batches)) for batches in (one, other))
    if len(mine) != len(theirs) or set(mine) == set(theirs):
        return {loader: loader for loader in mine}
    return dict(zip(mine, theirs, strict=True))


def _other_samples(batch: Batch, match: Batch) -> str:
    mine, theirs = batch.indices or (), match.indices or ()
    first = next((place for place, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), 0)
    same = sorted(map(str, mine)) == sorted(map(str, theirs))
    begin = max(0, min(first, len(mine) - _SHOWN))
    how = "the same samples in another order" if same else "other samples"
    return f"holds samples {_listed(mine, begin)} in one run and {_listed(theirs, begin)} in the other: {how}"


def _other_contents(batch: Batch, match: Batch) -> str:
    by = "" if batch.worker is None else f", made by worker {batch.worker}"
    if match.worker != batch.worker:
        return f"is made by worker {batch.worker} in one run and {match.worker} in the other, with other contents"
    apart = [place for place, (a, b) in enumerate(zip(batch.samples, match.samples, strict=False)) if a != b]
    if not apart or len(batch.samples) != len(match.samples):
        return f"holds the same samples with other contents{by}" if batch.indices else f"has other contents{by}"
    names = [batch.indices[place] if batch.indices else place for place in apart]
    if len(apart) == len(batch.samples):
        which = f"all {len(apart)} samples have" if len(apart) > 1 else f"its sample {names[0]} has"
    elif len(apart) == 1:
        which = f"sample {names[0]} has" if batch.indices else f"the sample at place {names[0]} has"
    else:
        which = f"samples {_listed(names, 0)} have" if batch.indices else f"{len(apart)} samples have"
    return (
        f"holds the same samples, and {which} other contents{by}"
        if batch.indices
        else f"differs: {which} other contents{by}"
    )


def _listed(samples: Sequence[int | str], begin: int) -> str:
    shown = ", ".join(str(sample) for sample in samples[begin : begin + _SHOWN])
    before = "..., " if begin else ""
    return f"{before}{shown}{', ...' if begin + _SHOWN < len(samples) else ''}"
