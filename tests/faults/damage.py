"""Damages a small study in random places and counts what `check` names and what is used all the same.

python tests/faults/damage.py --damages 50
"""

import argparse
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lastbit as lb
from lastbit.storage.files import DamagedError, to_json, write_checksummed
from lastbit.study.check import check_study
from lastbit.study.open_study import open_study
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

_CHANGES = ("data.train=128", "data.test=50")
_KINDS = ("removed", "truncated", "one bit flipped")


@dataclass
class Counts:
    """What came of all damages."""

    done: Counter[str] = field(default_factory=Counter)  # by kind
    named: int = 0  # by `check`, with the very file
    used: int = 0  # the study gave other results than before, and said nothing
    refused: int = 0  # the study refused to compute, and named the file
    unread: int = 0  # the same results as before: no number rests on that file


def make(out: Path) -> dict[str, Any]:
    """A study of four trials and the repetition of one, with its results."""
    train = RecipeTraining(load_recipe("demo", scale="smoke", changes=_CHANGES))
    results = lb.Study(out, train, noises=[lb.Scale(1), lb.Scale(3)], seeds=[1, 2]).run().as_json()
    write_checksummed(out / "results.json", results)
    return results


def damage(path: Path, kind: str, chance: random.Random) -> None:
    """Remove a file, cut it short somewhere, or flip one bit of it."""
    content = bytearray(path.read_bytes())
    if kind == "removed":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(content[: chance.randrange(len(content) - 1)])
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def measure(damages: int, seed: int) -> Counts:
    """Damage a fresh copy each time."""
    chance, counts = random.Random(seed), Counts()
    with tempfile.TemporaryDirectory() as folder:
        sound, copy = Path(folder) / "sound", Path(folder) / "copy"
        results = to_json(make(sound))
        stored = sorted(path for path in sound.rglob("*") if path.is_file() and path.name != ".lock")
        files = [path.relative_to(sound) for path in stored]
        for _ in range(damages):
            shutil.copytree(sound, copy)
            name, kind = chance.choice(files), chance.choice(_KINDS)
            damage(copy / name, kind, chance)
            counts.done[kind] += 1
            counts.named += any(name == each.path for each in check_study(copy).findings)
            _use(copy, results, counts)
            shutil.rmtree(copy)
    return counts


def _use(copy: Path, results: str, counts: Counts) -> None:
    """Compute the results from what is there, as a report does; a trial that is missing is no damage."""
    try:
        study = open_study(copy)
        same = bool(study.pending()) or to_json(study.results().as_json()) == results
    except DamagedError:
        counts.refused += 1
        return
    except ValueError as error:  # study.json is gone
        counts.refused += "study.json" in str(error)
        counts.used += "study.json" not in str(error)
        return
    counts.unread += same
    counts.used += not same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(measure(options.damages, options.seed))  # noqa: T201
