"""Why two runs differ at an operation, by what is known of it: kind, cause and cure."""

from dataclasses import dataclass

from lastbit.script.audit.bits import FILLED, ONE_THREAD
from lastbit.script.audit.compiled import CompiledGraph
from lastbit.script.audit.evidence import AuditEvidence
from lastbit.script.audit.varying_calls import ENTROPY, MEANING

RANDOMNESS, ARITHMETIC, DATA = "randomness", "arithmetic", "data"


@dataclass(frozen=True)
class Explanation:
    """Why two runs differ at an operation."""

    kind: str  # randomness, arithmetic or data
    cause: str
    cure: str


def explain(evidence: AuditEvidence) -> Explanation:
    """Say why the runs differ, by the first rule that holds."""
    if evidence.one.graph is not None:
        return _in_a_graph(evidence) or _inside_the_operation(evidence)
    return _outside_torch(evidence) or _random_numbers(evidence) or _inside_the_operation(evidence)


def read_by_python() -> Explanation:
    """Say why the runs differ where only filling fresh memory alike makes them agree, and no operation read it."""
    cause = (
        "it depends on uninitialised memory: values of a tensor made by torch.empty or the like, which was not"
        " completely written, were read outside torch, as by `.numpy()` or `.tolist()`"
    )
    return Explanation(ARITHMETIC, cause, _WRITE_FIRST)


def _outside_torch(evidence: AuditEvidence) -> Explanation | None:
    """Where the operation, or what it takes, differs before it computes anything."""
    one, other = evidence.one, evidence.other
    if evidence.parted:
        does = "ended" if one.alone else f"does {other.op} at {other.line or 'a line of a library'}"
        return _from_outside(evidence, f"the runs part ways: one does {one.op} where the other {does}")
    if one.reading:
        order = ", the same ones in another order" if evidence.permuted else ""
        return _from_outside(evidence, f"it reads values that torch did not make, and they differ{order}")
    if evidence.unwritten and not one.random:
        cause = "it reads uninitialised memory: a tensor made by torch.empty or the like was not completely written"
        return Explanation(ARITHMETIC, cause, _WRITE_FIRST)
    if evidence.changed_inputs:
        what = "a tensor it takes was changed from outside torch, as through the array of `.numpy()`"
        return _from_outside(evidence, what)
    return _other_numbers(evidence)


def _other_numbers(evidence: AuditEvidence) -> Explanation | None:
    others = evidence.other.numbers
    changed = [
        f"{name} is {number} in one run and {others.get(name)} in the other"
        for name, number in evidence.one.numbers.items()
        if number != others.get(name)
    ]
    return _from_outside(evidence, f"it is given another number: {' and '.join(changed)}") if changed else None


def _in_a_graph(evidence: AuditEvidence) -> Explanation | None:
    """Where the operation is a compiled graph, and differs before it computes anything."""
    graph, other = evidence.one.graph, evidence.other.graph
    if graph is None or other is None or evidence.one.reading or evidence.unwritten:
        return _other_numbers(evidence) or _outside_torch(evidence)
    if graph.code == other.code:
        drew_before = graph.draws and evidence.one.now.torch_state != evidence.other.now.torch_state
        return _random_numbers(evidence) if drew_before else None
    lines = zip(graph.code.splitlines(), other.code.splitlines(), strict=False)
    mine, theirs = next(((_shortened(a), _shortened(b)) for a, b in lines if a != b), ("fewer", "more"))
    return _from_outside(evidence, f"the runs compiled other operations: {mine} in one and {theirs} in the other")


def _shortened(line: str) -> str:
    """A line of a graph's code, without what frees its arguments."""
    return line.split(";")[0].strip()


def _random_numbers(evidence: AuditEvidence) -> Explanation | None:
    """Where the operation draws random numbers."""
    one, other = evidence.one, evidence.other
    if one.graph is None and (not one.random or float(one.numbers.get("dropout_p", "1")) == 0):
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


def _inside_the_operation(evidence: AuditEvidence) -> Explanation:
    """Where the same inputs give other bits."""
    one, other = evidence.one, evidence.other
    if one.op.startswith("c10d::"):
        cause = "its inputs here agree: other ranks gave other values, or the backend added them in another order"
        cure = "the same algorithm in every run (for NCCL, NCCL_ALGO and NCCL_PROTO); see what other ranks compute"
        return Explanation(DATA, cause, cure)
    if one.graph is not None and other.graph is not None and one.graph.kernels != other.graph.kernels:
        cause = "the compiler wrote other kernels for the same operations, as where it chooses them by their time"
        cure = (
            "no mode that tunes itself, as max-autotune, or one directory of kernels for both (TORCHINDUCTOR_CACHE_DIR)"
        )
    elif one.threads != other.threads:
        threads = f"{one.threads} and {other.threads}"
        cause = f"its result depends on the number of threads ({threads}): each adds up a part of the sum"
        cure = "fix the number by torch.set_num_threads or OMP_NUM_THREADS, on every machine"
    elif one.graph is not None:
        cause = (
            f"{_SAME_INPUTS} inside this graph{_span(one.graph)}: a kernel adds in any order, or reads unwritten memory"
        )
        cure = f'compile with backend="aot_eager", under which the audit names the operation, or {_DETERMINISTIC}'
    elif evidence.value is not None and evidence.value.device != "cpu":
        if "conv" in one.op or "cudnn" in one.op:
            cause = "cuDNN chose another algorithm, by timing them, or one whose additions come in any order"
            cure = f"torch.backends.cudnn.benchmark = False and {_DETERMINISTIC}"
        else:
            cause = f"{_SAME_INPUTS}: the kernel adds by atomics, in any order"
            cure = f"{_DETERMINISTIC}, with CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment"
    elif not one.op.startswith("aten::"):
        cause = f"{_SAME_INPUTS}: inside this custom operation threads race, or memory is not initialised"
        cure = "add in a fixed order instead of by atomics or as threads finish"
    else:
        return _on_the_cpu(evidence)
    return Explanation(ARITHMETIC, cause, cure)


def _span(graph: CompiledGraph) -> str:
    if graph.lines is None or graph.lines[0] == graph.lines[1]:
        return ""
    return f", which holds {graph.lines[0]} to {graph.lines[1].rpartition(':')[2]}"


def _on_the_cpu(evidence: AuditEvidence) -> Explanation:
    """Distinguish threads from memory by the result of repeating the operation."""
    one = evidence.one
    threads_race = one.threads > 1 and evidence.agree_again(ONE_THREAD)
    where = f"{_SAME_INPUTS} on {one.threads} thread(s)"
    if threads_race:
        cause = f"{where}, and the same bits on one: threads add atomically, in any order"
        cure = f"{_DETERMINISTIC}, or one thread"
    elif evidence.agree_again(FILLED):
        cause = (
            f"{_SAME_INPUTS}, on one thread too, and the same bits once fresh memory is filled:"
            " it reads memory that it allocates itself and does not initialise"
        )
        instead = f"{_INSTEAD[one.op]}, or " if one.op in _INSTEAD else ""
        cure = f"{instead}{_DETERMINISTIC}, which fills fresh memory"
    elif not one.repeats:
        cause = f"{where}: perhaps threads add atomically, in any order, or memory is not initialised"
        cure = f"{_DETERMINISTIC}, or another operation"
    else:
        cause = (
            f"{where}, on one thread too, and with fresh memory filled: something inside it differs, as where"
            " threads add atomically, in any order"
        )
        cure = "another operation that gives the same; one thread is no cure"
    return Explanation(ARITHMETIC, cause, cure)


def _from_outside(evidence: AuditEvidence, what: str) -> Explanation:
    source = _source(evidence)
    batch = "" if evidence.batch is None else f"; {evidence.batch.what}"
    return Explanation(source.kind, f"{what}{batch}; {source.cause}", source.cure)


def _badly_seeded(evidence: AuditEvidence, cause: str) -> Explanation:
    source = _source(evidence)
    by = "" if source is _UNKNOWN else f"; {source.cause}"
    return Explanation(RANDOMNESS, cause + by, "seed it with a fixed number, or with one from the command line")


def _source(evidence: AuditEvidence) -> Explanation:
    """The likeliest source of a value that came from outside torch.

    A call on the very line, or in the code behind a batch that differs, comes first, then a generator that was drawn
    from and whose states differ, then the nearest call in the user's files.
    """
    likeliest = next(iter(evidence.calls), None)
    near = likeliest and (evidence.is_on_the_line(likeliest) or evidence.is_behind_the_batch(likeliest))
    if evidence.drawn_differently and not near:
        name = evidence.drawn_differently[0]
        seed = "random.seed" if name.startswith("Python") else "numpy.random.seed"
        cause = f"{name} was drawn from and is not in the same state in both runs: it was not seeded, or differently"
        cure = f"call {seed} with a fixed number before the first draw, in every worker as well"
        return Explanation(RANDOMNESS, cause, cure)
    if likeliest is None:
        return _UNKNOWN
    does, cure = MEANING[likeliest.category]
    kind = RANDOMNESS if likeliest.category == ENTROPY else DATA
    return Explanation(kind, f"{likeliest.call} at {likeliest.where} {does}", cure)


_UNKNOWN = Explanation(
    DATA,
    "the difference may come from a file, another process or thread, the clock, or the order of a set",
    "print the values in two runs and follow them back to where they first differ",
)
_SAME_INPUTS = "the same inputs give other bits"
_DETERMINISTIC = "torch.use_deterministic_algorithms(True)"
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
