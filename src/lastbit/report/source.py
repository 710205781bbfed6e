"""What the runs of a seed differ in, as the page writes it."""

from collections.abc import Iterable
from dataclasses import dataclass

from lastbit.report.numbers import joined
from lastbit.report.stored import Study

_SUBJECTS = {"last-bit noise": "the last bit", "summation order": "the order of summation"}
_DIFFERENCES = {
    "scale": "the last bit of its updates",
    "rounding": "the last bit of its updates",
    "ulp": "one unit in the last place of one weight, once",
    "order": "the order of the samples inside its batches",
}


@dataclass(frozen=True)
class Source:
    """The noise of a study in words, as in the middle of a sentence."""

    name: str  # `last-bit noise`, `summation order`
    kinds: tuple[str, ...]  # of its noises, such as `scale`

    @property
    def subject(self) -> str:
        """What moves the results: `the last bit`."""
        return _SUBJECTS.get(self.name, "the noise")

    @property
    def difference(self) -> str:
        """What two runs of one seed differ in."""
        known = dict.fromkeys(_DIFFERENCES[kind] for kind in self.kinds if kind in _DIFFERENCES)
        return joined(known) if known else self.name


def source_of(study: Study) -> Source:
    """The source of stored results; those from before there was a choice have last-bit noise by k."""
    kinds = dict.fromkeys(str(trial.get("kind", "")) for trial in study["trials"])
    return Source(study.get("source") or "last-bit noise", tuple(kind for kind in kinds if kind))


def source_of_all(studies: Iterable[Study]) -> Source:
    """The sources of several studies in one."""
    found = [source_of(study) for study in studies]
    kinds = dict.fromkeys(kind for source in found for kind in source.kinds)
    return Source(" and ".join(dict.fromkeys(source.name for source in found)), tuple(kinds))


def capital(words: str) -> str:
    """Words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]
