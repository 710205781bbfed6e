"""Where values come from that torch did not compute: generators of other libraries, the clock, hashes, files."""

from dataclasses import dataclass

from lastbit.script.audit.evidence import Evidence
from lastbit.script.audit.suspects import CLOCK, ENTROPY, ENVIRONMENT, HASH, NAMES, ORDER, PROCESS, Suspect

RANDOMNESS, DATA = "randomness", "data"


@dataclass(frozen=True)
class Source:
    """A likely source of values that differ, and what to do about it."""

    kind: str  # randomness or data
    cause: str
    cure: str


UNKNOWN = Source(
    DATA,
    "the difference may come from a file, another process or thread, the clock, or the order of a set",
    "print the values in two runs and follow them back to where they first differ",
)
_MEANING = {
    CLOCK: ("reads the clock", "count steps or epochs instead of time"),
    PROCESS: ("depends on the process's or thread's number", "use a fixed number, or the worker's rank"),
    ENTROPY: ("draws from the system's entropy, unseeded", "draw from a generator with a fixed seed"),
    HASH: ("depends on Python's hashes or addresses", "sort before use; PYTHONHASHSEED=0 fixes hashes of strings"),
    ORDER: ("gives things in the order in which the system happens to", "sort them, or collect results by their index"),
    NAMES: ("makes a random name", "do not compute anything from the name"),
    ENVIRONMENT: ("reads the environment", "pass the value as an argument"),
}


def from_outside(evidence: Evidence) -> Source:
    """The likeliest source of a value that came from outside torch.

    A call on the very line comes first, then a generator that was drawn from and is not in the same state in both runs,
    then the nearest call in the user's files.
    """
    suspects = evidence.suspects
    if suspects and evidence.is_on_the_line(suspects[0]):
        return _source(suspects[0])
    if evidence.drawn_differently:
        return _generator(evidence.drawn_differently[0])
    return _source(suspects[0]) if suspects else UNKNOWN


def _generator(name: str) -> Source:
    seed = "random.seed" if name.startswith("Python") else "numpy.random.seed"
    cause = f"{name} was drawn from and is not in the same state in both runs: it was not seeded, or differently"
    return Source(RANDOMNESS, cause, f"call {seed} with a fixed number before the first draw, in every worker as well")


def _source(suspect: Suspect) -> Source:
    does, cure = _MEANING[suspect.category]
    kind = RANDOMNESS if suspect.category == ENTROPY else DATA
    return Source(kind, f"{suspect.call} at {suspect.where} {does}", cure)
