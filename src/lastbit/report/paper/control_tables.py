"""Runs that must agree bit for bit, with the digests of their bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.curves import thin
from lastbit.report.numbers import points
from lastbit.report.pde.table import Table

_MOST_EPOCHS = 8
_DIGITS = 8  # of a digest that are shown
_NOTE = (
    "Test accuracy in percent. The digest begins a SHA-256 of every metric, stored weight and prediction of a run: "
    "equal digests mean runs that agree in every bit."
)


def repeats_table(trials: Sequence[Mapping[str, Any]]) -> Table:
    """Accuracy over training of the same training, made several times.

    Args:
        trials: each with `epoch`, `test_accuracy` at each, and the `digest` of its bits.
    """
    kept = thin(range(len(trials[0]["epoch"])), _MOST_EPOCHS)
    kinds = len({trial["digest"] for trial in trials})
    rows = [
        [f"trial {number}", *(points(trial["test_accuracy"][i]) for i in kept), trial["digest"][:_DIGITS]]
        for number, trial in enumerate(trials, start=1)
    ]
    columns = ["", *(f"epoch {trials[0]['epoch'][i]}" for i in kept), "digest"]
    said = "the same bits" if kinds == 1 else f"{kinds} different sets of bits"
    return Table("repeats", f"The same training, made {len(trials)} times, gives {said}", _NOTE, columns, rows)


def controls_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Accuracy and digest for each k and trial.

    Args:
        runs: each with `k`, `trial`, `test_accuracy` and `digest`.
    """
    ks = list(dict.fromkeys(run["k"] for run in runs))
    trials = list(dict.fromkeys(run["trial"] for run in runs))
    by_place = {(run["k"], run["trial"]): run for run in runs}
    rows = [[f"k = {k}", *(_cell(by_place[k, trial]) for trial in trials)] for k in ks]
    kinds = len({run["digest"] for run in runs})
    title = f"{len(runs)} runs with k = {min(ks)} to {max(ks)} end in {kinds} different sets of bits"
    return Table("controls", title, _NOTE, ["", *(f"trial {trial}" for trial in trials)], rows)


def _cell(run: Mapping[str, Any]) -> str:
    return f"{points(run['test_accuracy'])} ({run['digest'][:_DIGITS]})"
