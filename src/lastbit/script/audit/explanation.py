"""Why two runs differ at an operation: the kind of difference, its usual cause, and the cure."""

from collections.abc import Callable
from dataclasses import dataclass

from lastbit.script.audit.evidence import Evidence
from lastbit.script.audit.outside import RANDOMNESS, UNKNOWN, from_outside
from lastbit.script.audit.trials import FILLED, ONE_THREAD

ARITHMETIC = "arithmetic"


@dataclass(frozen=True)
class Explanation:
    """Kind, cause and cure of a difference."""

    kind: str  # randomness, arithmetic or data
    cause: str
    cure: str


def explain(evidence: Evidence) -> Explanation:
    """Say why the runs differ, by the first rule that holds."""
    return next(found for rule in _RULES if (found := rule(evidence)) is not None)


def through_python() -> Explanation:
    """Say why the runs differ where only filling fresh memory alike makes them agree, and no operation read it."""
    cause = (
        "it depends on uninitialised memory: values of a tensor made by torch.empty or the like, which was not wholly"
        " written, were read outside torch, as by `.numpy()` or `.tolist()`"
    )
    return Explanation(ARITHMETIC, cause, _WRITE_FIRST)


def _other_path(evidence: Evidence) -> Explanation | None:
    if not evidence.parted:
        return None
    one, other = evidence.one, evidence.other
    does = "ended" if one.alone else f"does {other.op} at {other.line or 'a line of a library'}"
    return _outside(evidence, f"the runs part ways: one does {one.op} where the other {does}")


def _read_from_outside(evidence: Evidence) -> Explanation | None:
    if not evidence.one.reading:
        return None
    order = ", the same ones in another order" if evidence.permuted else ""
    return _outside(evidence, f"it reads values that torch did not make, and they differ{order}")


def _unwritten(evidence: Evidence) -> Explanation | None:
    if not evidence.unwritten or evidence.one.random:
        return None
    cause = "it reads uninitialised memory: a tensor made by torch.empty or the like was not wholly written before"
    return Explanation(ARITHMETIC, cause, _WRITE_FIRST)


def _changed_outside(evidence: Evidence) -> Explanation | None:
    if not evidence.changed_inputs:
        return None
    return _outside(evidence, "a tensor it takes was changed from outside torch, as through the array of `.numpy()`")


def _other_numbers(evidence: Evidence) -> Explanation | None:
    changed = evidence.changed_numbers
    if not changed:
        return None
    said = " and ".join(
        f"{name} is {one} in one run and {other} in the other" for name, (one, other) in changed.items()
    )
    return _outside(evidence, f"it is given another number: {said}")


def _draw(evidence: Evidence) -> Explanation | None:
    one, other = evidence.one, evidence.other
    if not one.random or float(one.numbers.get("dropout_p", "1")) == 0:
        return None
    what = _DRAWS.get(one.op, "random numbers")
    if one.generator_seed is not None and one.generator_seed != other.generator_seed:
        seeds = f"{one.generator_seed} and {other.generator_seed}"
        return _badly_seeded(evidence, f"{what}: the generator it is given was seeded differently ({seeds})")
    if one.now.torch_seed == other.now.torch_seed:
        cause = f"{what}: the seeds agree, but one run drew more numbers before than the other"
        return Explanation(RANDOMNESS, cause, "look for draws that depend on time or on another process or thread")
    if one.now.torch_seed == one.start.torch_seed:
        cure = "call torch.manual_seed with a fixed number before the first draw"
        return Explanation(RANDOMNESS, f"unseeded {what}: torch's generator was never seeded", cure)
    seeds = f"{one.now.torch_seed} and {other.now.torch_seed}"
    return _badly_seeded(evidence, f"{what}: torch's generator was seeded differently ({seeds})")


def _badly_seeded(evidence: Evidence, cause: str) -> Explanation:
    source = from_outside(evidence)
    by = "" if source is UNKNOWN else f"; {source.cause}"
    return Explanation(RANDOMNESS, cause + by, "seed it with a fixed number, or with one from the command line")


def _threads(evidence: Evidence) -> Explanation | None:
    one, other = evidence.one.threads, evidence.other.threads
    if one == other:
        return None
    cause = f"its result depends on the number of threads ({one} and {other}): each adds up a part of the sum"
    return Explanation(
        ARITHMETIC, cause, "fix the number by torch.set_num_threads or OMP_NUM_THREADS, on every machine"
    )


def _device(evidence: Evidence) -> Explanation | None:
    if evidence.device == "cpu":
        return None
    if "conv" in evidence.one.op or "cudnn" in evidence.one.op:
        cause = "cuDNN chose another algorithm, by timing them, or one whose additions come in any order"
        cure = "torch.backends.cudnn.benchmark = False and torch.use_deterministic_algorithms(True)"
        return Explanation(ARITHMETIC, cause, cure)
    cause = "the same inputs give other bits: the kernel adds by atomics, in any order"
    cure = "torch.use_deterministic_algorithms(True), with CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment"
    return Explanation(ARITHMETIC, cause, cure)


def _custom(evidence: Evidence) -> Explanation | None:
    if evidence.one.op.startswith("aten::"):
        return None
    cause = "the same inputs give other bits: inside this custom operation threads race, or memory is not initialised"
    return Explanation(ARITHMETIC, cause, "add in a fixed order instead of by atomics or as threads finish")


def _memory_inside(evidence: Evidence) -> Explanation | None:
    if not evidence.agree_again(FILLED) or (evidence.one.threads > 1 and evidence.agree_again(ONE_THREAD)):
        return None
    cause = (
        "the same inputs give other bits, on one thread too, and the same bits once fresh memory is filled:"
        " it reads memory that it allocates itself and does not initialise"
    )
    fills = "torch.use_deterministic_algorithms(True), which fills fresh memory"
    instead = _INSTEAD.get(evidence.one.op)
    return Explanation(ARITHMETIC, cause, fills if instead is None else f"{instead}, or {fills}")


def _race(evidence: Evidence) -> Explanation:
    same = f"the same inputs give other bits on {evidence.one.threads} thread(s)"
    if evidence.one.threads > 1 and evidence.agree_again(ONE_THREAD):
        cause = f"{same}, and the same bits on one: threads add atomically, in any order"
        return Explanation(ARITHMETIC, cause, "torch.use_deterministic_algorithms(True), or one thread")
    if not evidence.one.trials:
        cause = f"{same}: perhaps threads add atomically, in any order, or memory is not initialised"
        return Explanation(ARITHMETIC, cause, "torch.use_deterministic_algorithms(True), or another operation")
    cause = (
        f"{same}, on one thread too, and with fresh memory filled: something inside it differs, as where"
        " threads add atomically, in any order"
    )
    return Explanation(ARITHMETIC, cause, "another operation that gives the same; one thread is no cure")


def _outside(evidence: Evidence, what: str) -> Explanation:
    source = from_outside(evidence)
    return Explanation(source.kind, f"{what}; {source.cause}", source.cure)


_RULES: tuple[Callable[[Evidence], Explanation | None], ...] = (
    _other_path,
    _read_from_outside,
    _unwritten,
    _changed_outside,
    _other_numbers,
    _draw,
    _threads,
    _device,
    _custom,
    _memory_inside,
    _race,
)
_WRITE_FIRST = "make the tensor with torch.zeros or torch.full, or write all of it first"
_INSTEAD = {
    # LAPACK's gelsy, which is the default, takes a list of columns to begin with, and torch leaves that unwritten.
    "aten::linalg_lstsq": 'another driver, as torch.linalg.lstsq(..., driver="gels"), or "gelsd" for a rank below full',
}
_DRAWS = {
    "aten::bernoulli_": "mask of a dropout",
    "aten::native_dropout": "mask of a dropout",
    "aten::randperm": "shuffle",
    "aten::random_": "seed that a loader or sampler draws",
    "aten::normal_": "normal numbers, as of an initialisation",
    "aten::uniform_": "uniform numbers, as of an initialisation",
}
