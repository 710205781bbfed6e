"""Is a difference between two runs rounding, or another computation? Changes of both kinds, told apart by traces.

    python benchmarks/rounding_or_bug.py [--only NAME] [--steps 6] [--smoke] [--json FILE]

Two small networks, of images and of language, are trained for a few steps and recorded; then twice more with noise in
the last bits of every operation, from which `learn_envelope` learns what rounding explains; and then once for each
change: 30 that make it another computation, and 30 that only round otherwise. `compare_traces` says which is which. For
a change of the first kind it is noted too whether its argument, or its line, is named. All runs are in this process.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim import optimizer as optimizers

from lastbit.script.audit.generators import generators
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.noisy import NoisyTraceMode
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recorder import TraceMode
from lastbit.script.trace.records import FORMAT, RunTrace, TraceHeader
from lastbit.script.trace.writer import TraceWriter
from options import parsed, parser_of, write
from rounding_or_bug_programs import BUGS, NETWORKS, ROUNDINGS, Change, Settings, lines_of, train


@dataclass(frozen=True)
class Judged:
    """What is said of a change."""

    network: str
    change: str
    is_bug: bool
    told_bug: bool
    named: bool  # argument or line
    said: str


def record(settings: Settings, steps: int, noise: int | None = None) -> RunTrace:
    """Train with these settings and record it; with noise of this seed in every operation."""
    header = TraceHeader(FORMAT, ("train.py",), {}, {}, {}, 0, 1, steps, "")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder, "trace")
        writer = TraceWriter(path, header)
        writer.state(0, generators())
        mode = TraceMode(writer) if noise is None else NoisyTraceMode(writer, seed=noise)

        def begun(optimizer: Any, *_: Any) -> None:
            """Note what is updated."""
            import sys

            mode.names.begin_update(optimizer, sys._getframe(1))

        def stepped(*_: Any) -> None:
            """Count a step."""
            mode.names.end_update()
            mode.step += 1
            writer.state(mode.step, generators())

        stack.callback(optimizers.register_optimizer_step_pre_hook(begun).remove)
        stack.callback(optimizers.register_optimizer_step_post_hook(stepped).remove)
        stack.enter_context(mode)
        train(settings, steps)
        writer.end({})
        return read_trace(path)


class Judge:
    """Compares changed runs with their reference, which is recorded once for each base."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._known: dict[Settings, Any] = {}

    def reference(self, base: Settings) -> Any:
        """The plain run and its envelope."""
        if base not in self._known:
            plain = record(base, self._steps)
            envelope = learn_envelope(plain, [record(base, self._steps, noise=seed) for seed in (1, 2)])
            self._known[base] = plain, envelope
        return self._known[base]

    def judge(self, network: str, change: Change, *, is_bug: bool) -> Judged:
        """Say what is said of a change."""
        base = replace(NETWORKS[network], **change.base)
        plain, envelope = self.reference(base)
        with change.around():
            changed = record(replace(base, **change.settings), self._steps)
        found = compare_traces(plain, changed, envelope)
        place = found.beyond_rounding
        named = place is not None and is_named(change, place)
        return Judged(network, change.name, is_bug, place is not None, named, found.verdict)


def is_named(change: Change, place: Any) -> bool:
    """Whether the argument, or the line, of a change is said."""
    said = f"{place.differs} at {place.line} "
    lines = [f"rounding_or_bug_programs.py:{line}" for line in lines_of(change.marks)]
    return any(f"{line}{end}" in said for line in lines for end in " ,;)") or any(word in said for word in change.words)


def line_of(row: Judged) -> str:
    """A row of the table, with the beginning of what was said."""
    right = "right" if row.told_bug == row.is_bug else "WRONG"
    named = ("named" if row.named else "not named") if row.is_bug else ""
    return (
        f"{row.network:9} {'bug' if row.is_bug else 'rounding':9} {row.change:34} {right} {named:10} {row.said[:230]}"
    )


def main() -> None:
    """Judge all changes; print the table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", help="changes with this in their name")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of each run (6)")
    parser.add_argument("--each", type=int, default=30, help="changes of each kind (30)")
    arguments = parsed(parser, steps=3, each=3)
    torch.set_num_threads(1)
    judged = []
    for network in NETWORKS:
        judge = Judge(arguments.steps)
        for is_bug, changes in ((True, BUGS), (False, ROUNDINGS)):
            chosen = [c for c in changes if network in c.networks and (arguments.only or "") in c.name]
            for change in chosen[: arguments.each]:
                judged.append(judge.judge(network, change, is_bug=is_bug))
                if arguments.json != "-":
                    print(line_of(judged[-1]), flush=True)
    write([asdict(row) for row in judged], arguments.json)
    if arguments.json == "-":
        return
    for network in NETWORKS:
        rows = [row for row in judged if row.network == network]
        bugs, rounding = [r for r in rows if r.is_bug], [r for r in rows if not r.is_bug]
        print(
            f"{network}: {sum(r.told_bug == r.is_bug for r in rows)} of {len(rows)} told rightly; "
            f"{sum(r.told_bug for r in rounding)} of {len(rounding)} roundings called a bug; "
            f"{sum(r.named for r in bugs)} of {len(bugs)} bugs named"
        )


if __name__ == "__main__":
    main()
