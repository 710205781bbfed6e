"""How many of the audit's planted faults are found from two recorded traces, which is all that two machines have.

Each program of `tests/script/audit/faults.py` is recorded twice, one run after the other: with another seed of Python's
hashes, other values in fresh memory (glibc's MALLOC_PERTURB_) and, where the fault is in it, another number of threads.
A fault is found if the first difference of the two files is at its operation, line, phase, step and module.

    python benchmarks/trace_faults.py [--faults 40] [--smoke] [--json FILE]
"""

import os
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script import parse_target
from lastbit.script.trace.comparison import TraceComparison, compare_traces
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recording import record_trace
from options import parsed, parser_of, write

sys.path.append(str(Path(__file__).parents[1] / "tests" / "script" / "audit"))
from faults import FAULTS

SIDES = ("1", "2")


def compared(fault: Any, folder: Path) -> TraceComparison:
    """Record a program twice in one directory, and compare the files."""
    (folder / "train.py").write_text(fault.source)
    traces = []
    with chdir(folder):
        for side, threads in zip(SIDES, fault.threads, strict=True):
            os.environ |= {"PYTHONHASHSEED": side, "MALLOC_PERTURB_": str(85 * int(side))}
            path = Path(f"{side}.trace")
            record_trace(parse_target(["train.py"]), path, threads=threads)
            traces.append(read_trace(path))
    return compare_traces(*traces)


def is_found(fault: Any, comparison: TraceComparison) -> bool:
    """Whether the first difference is at the fault; a parameter's name may follow that of its module."""
    first = comparison.first_different
    if first is None:
        return False
    place = (first.operation, first.line, first.phase, first.step)
    module = first.module == fault.module or (first.module or "").startswith(f"{fault.module}.")
    return module and place == (fault.op, f"train.py:{fault.line}", fault.phase, fault.step)


def looked_for(fault: Any, folder: Path) -> str | None:
    """What is said where a fault is not found, be it that its program fails; None where it is."""
    try:
        comparison = compared(fault, folder)
    except LastbitError as error:
        return f"failed: {error}\n{getattr(error, 'output', '')}"
    return None if is_found(fault, comparison) else f"{comparison.verdict}\n  {comparison.first_different}"


def main() -> None:
    """Compare, and print what is not found."""
    parser = parser_of(__doc__)
    parser.add_argument("--faults", type=int, default=len(FAULTS), help=f"the first so many ({len(FAULTS)})")
    arguments = parsed(parser, faults=1)
    found = {}
    for name, fault in list(FAULTS.items())[: arguments.faults]:
        with tempfile.TemporaryDirectory() as folder:
            said = looked_for(fault, Path(folder))
        found[name] = said is None
        if said is not None and arguments.json != "-":
            print(f"{name}: {said}", flush=True)
    missed = [name for name, hit in found.items() if not hit]
    write({"faults": len(found), "found": len(found) - len(missed), "missed": missed}, arguments.json)
    if arguments.json != "-":
        print(f"{len(found) - len(missed)} of {len(found)} faults found")


if __name__ == "__main__":
    main()
