"""How long `import lastbit` takes beside `import torch`, in fresh processes, alternating.

    python benchmarks/import_time.py

`lastbit` loads its rooms when they are first used, so the bare import costs next to nothing; what a program pays in the
end is that of the names it uses, which are measured too. Ratios are to `import torch`.
"""

import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "import torch": "import torch",
    "import lastbit": "import lastbit",
    "lastbit.perturb": "import lastbit; lastbit.perturb",
    "lastbit.Study": "import lastbit; lastbit.Study",
    "lastbit.SharpnessTracker": "import lastbit; lastbit.SharpnessTracker",
    "lastbit.pde": "import lastbit; lastbit.pde",
    "all public names": "import lastbit; [getattr(lastbit, name) for name in lastbit.__all__]",
    "lastbit --help": "import sys; sys.argv = ['lastbit', '--help']; from lastbit.cli.main import main; main()",
}
ROUNDS = 7


def seconds(program: str) -> float:
    """Wall time of one process, without that of starting Python."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    bare = [seconds("pass") for _ in range(ROUNDS)]
    times = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            times[name].append(seconds(program) - min(bare))
    torch = statistics.median(times["import torch"])
    for name, found in times.items():
        print(f"{name:26} {statistics.median(found):6.2f} s  {statistics.median(found) / torch:5.2f} of import torch")


if __name__ == "__main__":
    main()
