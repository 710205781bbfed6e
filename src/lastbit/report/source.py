"""What the runs of a seed differ in, as the page writes it."""

from collections.abc import Iterable
from dataclasses import dataclass

from lastbit.noise.noise import KINDS
from lastbit.report.numbers import joined
from lastbit.report.stored import Study

_UNEXPLAINED = "<p>A noise disturbs the last bit of the training’s arithmetic.</p>"


@dataclass(frozen=True)
class Source:
    """The noise of a study in words, as in the middle of a sentence."""

    name: str  # `last-bit noise`, `summation order`
    kinds: tuple[str, ...]  # of its noises, such as `scale`

    @property
    def subject(self) -> str:
        """What moves the results: `the last bit`."""
        subjects = {kind.source: kind.subject for kind in KINDS.all()}
        return subjects.get(self.name, "the noise")

    @property
    def difference(self) -> str:
        """What two runs of one seed differ in."""
        known = dict.fromkeys(noise.difference for kind in self.kinds if (noise := KINDS.get(kind)))
        return joined(known) if known else self.name

    @property
    def explanations(self) -> list[str]:
        """What each noise does, as paragraphs of HTML."""
        known = [noise.explanation if (noise := KINDS.get(kind)) else "" for kind in self.kinds]
        return list(dict.fromkeys(text or _UNEXPLAINED for text in known or [""]))


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
