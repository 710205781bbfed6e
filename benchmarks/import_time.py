"""How long `import lastbit` and the command's help take beside `import torch`, in fresh processes, alternating.

    python benchmarks/import_time.py [--rounds 5] [--smoke] [--json FILE]

`lastbit` loads its rooms when they are first used, so the bare import costs next to nothing. What a program pays in the
end is that of the names it uses, which are measured too. A command imports what it needs when it runs, so help, the
version, completion and wrong options take a fraction of `import torch`. Each time is the median of several processes,
with the start of Python itself subtracted; ratios are to `import torch`.
"""

import statistics
import subprocess
import sys
import time

from typer.core import TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app
from options import parsed, parser_of, write

LIBRARY = {
    "import torch": "import torch",
    "import lastbit": "import lastbit",
    "lastbit.perturb": "import lastbit; lastbit.perturb",
    "lastbit.Study": "import lastbit; lastbit.Study",
    "lastbit.SharpnessTracker": "import lastbit; lastbit.SharpnessTracker",
    "lastbit.pde": "import lastbit; lastbit.pde",
    "all public names": "import lastbit; [getattr(lastbit, name) for name in lastbit.__all__]",
}
LARGEST = {"lastbit --help": 0.25}  # of `import torch`; of every other help 0.4


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of a command, and of all below it."""
    below = command.commands.items() if isinstance(command, TyperGroup) else ()
    return [path, *(found for name, sub in below for found in commands(sub, (*path, name)))]


def command_line(*arguments: str) -> str:
    """A program that runs the command, without the shell's search for it."""
    return f"import sys; sys.argv = {['lastbit', *arguments]!r}; from lastbit.cli.main import main; main()"


def seconds(program: str) -> float:
    """Wall time of one process; a wrong option ends with another status."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    return time.perf_counter() - begun


def medians(programs: dict[str, str], rounds: int) -> dict[str, float]:
    """Median seconds of each program, without those of starting Python."""
    bare = min(seconds("pass") for _ in range(rounds))
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            times[name].append(seconds(program) - bare)
    return {name: statistics.median(found) for name, found in times.items()}


def measure(rounds: int, *, smoke: bool) -> dict[str, float]:
    """The ratio of each program's median to that of `import torch`; a few of the programs in a smoke run."""
    helps = {
        f"lastbit {' '.join((*path, '--help'))}": command_line(*path, "--help") for path in commands(get_command(app))
    }
    if smoke:
        helps = {name: helps[name] for name in ("lastbit --help", "lastbit study --help", "lastbit paper run --help")}
    others = {
        "lastbit --version": command_line("--version"),
        "lastbit study --wrong": command_line("study", "--wrong"),
    }
    library = {name: LIBRARY[name] for name in ("import torch", "import lastbit")} if smoke else LIBRARY
    found = medians(library | helps | others, rounds)
    ratios = {name: value / found["import torch"] for name, value in found.items()}
    for name, value in found.items():
        limit = LARGEST.get(name, 0.4 if name in helps else None)
        remark = "" if limit is None else f"  (at most {limit})" + "  TOO SLOW" * (ratios[name] > limit)
        print(f"{name:30} {value:6.3f} s  {ratios[name]:5.2f} of import torch{remark}")
    return ratios


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each program (5)")
    options = parsed(parser, rounds=1)
    write(measure(options.rounds, smoke=options.smoke), options.json)


if __name__ == "__main__":
    main()
