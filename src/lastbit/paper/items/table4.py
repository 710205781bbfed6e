"""Table 4: with all seeds fixed, a training repeats bit for bit (paper, appendix B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.trainings import LAPTOP_CUTS, LAPTOP_RESNET, SMOKE_CNN, SMOKE_CUTS, complete_study, training
from lastbit.report.numbers import points, thin
from lastbit.report.table import Table

_TRIALS = 3  # as many as the paper's


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train the same three times, each time anew."""
    copies = range(settings["trials"])
    return {"trials": [_trial(settings["training"], work, copy) for copy in copies]}


def _trial(asked: Settings, work: Work, copy: int) -> dict[str, Any]:
    (trial,) = complete_study(asked, work, copy=copy, controlled=False).grid().stored.values()
    rows = [row for row in trial.metrics if "test_accuracy" in row]
    return {
        "digest": trial.digest,
        "epoch": [row["epoch"] for row in rows],
        "test_accuracy": [row["test_accuracy"] for row in rows],
    }


def claims(result: Result) -> list[Claim]:
    """The paper's criterion, and a stronger one: not the accuracies only but every bit agrees."""
    trials = result["trials"]
    curves = {tuple(trial["test_accuracy"]) for trial in trials}
    digests = sorted({trial["digest"] for trial in trials})
    return [
        claim(
            "Test accuracies of the same training agree after every epoch",
            published="three equal rows",
            measured=f"{len(curves)} different among {len(trials)}",
            holds=len(trials) > 1 and len(curves) == 1,
        ),
        claim(
            "Every metric, stored weight and prediction agrees bit for bit",
            published=None,
            measured=[digest[:16] for digest in digests],
            holds=len(trials) > 1 and len(digests) == 1,
            reason="The digest is a SHA-256 of them all; equal runs have one digest.",
        ),
    ]


def draw(result: Result) -> list[Drawing]:
    """The table, with digests."""
    return [repeats_table(result["trials"])]


DIGEST_DIGITS = 8  # of a digest that are shown


DIGEST_NOTE = (
    "Test accuracy in percent. The digest begins a SHA-256 of every metric, stored weight and prediction of a run: "
    "equal digests mean runs that agree in every bit."
)


def repeats_table(trials: Sequence[Mapping[str, Any]]) -> Table:
    """Table 4: accuracy over training of the same training, made several times.

    Args:
        trials: each with `epoch`, `test_accuracy` at each, and the `digest` of its bits.
    """
    kept = thin(range(len(trials[0]["epoch"])), 8)
    kinds = len({trial["digest"] for trial in trials})
    rows = [
        [f"trial {number}", *(points(trial["test_accuracy"][i]) for i in kept), trial["digest"][:DIGEST_DIGITS]]
        for number, trial in enumerate(trials, start=1)
    ]
    columns = ["", *(f"epoch {trials[0]['epoch'][i]}" for i in kept), "digest"]
    bits = "the same bits" if kinds == 1 else f"{kinds} different sets of bits"
    title = f"The same training, made {len(trials)} times, gives {bits}"
    return Table("repeats", title, columns, rows, DIGEST_NOTE)


TABLE4 = Item(
    id="table4",
    order=204,
    title="With all seeds fixed, a training repeats bit for bit",
    shows="Test accuracy over training of the same training, made anew three times, and a digest of all its bits.",
    scales={
        "smoke": ItemScale(
            {"training": training("demo", SMOKE_CNN, ks=(1,), seeds=(1,)), "trials": 2},
            f"{SMOKE_CUTS}; 2 trials of 3",
            Cost(seconds=2.0, disk_mib=2),
        ),
        "laptop": ItemScale(
            {"training": training("resnet56-cifar10", LAPTOP_RESNET, ks=(1,), seeds=(1,)), "trials": _TRIALS},
            LAPTOP_CUTS,
            Cost(seconds=80.0, memory_mib=1500, disk_mib=30, data=("cifar10",)),
        ),
        "paper": ItemScale(
            {"training": training("resnet56-cifar10", ks=(1,), seeds=(1,)), "trials": _TRIALS},
            "",
            Cost(seconds=3 * 200 * 391 * 1.7, memory_mib=4000, disk_mib=500, data=("cifar10",)),
        ),
    },
    published={
        "epochs": [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200],
        "test_accuracy_of_each_trial": [33.84, 79.22, 90.90, 91.19, 93.07, 93.33, 93.38, 93.47, 93.44, 93.39, 93.47],
    },
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
