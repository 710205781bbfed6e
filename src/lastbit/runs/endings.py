"""How and where runs end: what their tracker says, and at which step their last values are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastbit.runs.columns import plain
from lastbit.runs.raw import END, STATE

if TYPE_CHECKING:
    import polars as pl

_UNFINISHED = (
    "crashed",
    "failed",
    "killed",
    "running",
    "scheduled",
    "preempted",
    "preempting",
    "pending",
    "unfinished",
    "fail",
    "error",
    "pruned",
    "waiting",
    "cancelled",
    "canceled",
    "timeout",
)
_FINISHED = ("finished", "complete", "completed", "success", "succeeded", "done", "ok")
_SHOWN = 4  # runs that a sentence names


def with_states(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with how each run ended, from a column `state` or `status` where all that it says is that."""
    import polars as pl

    for name in frame.columns if STATE not in frame.columns else ():
        if plain(name) in ("state", "status") and frame[name].dtype == pl.String:
            states = frame[name].drop_nulls().str.to_lowercase()
            if len(states) and states.is_in((*_UNFINISHED, *_FINISHED)).all():
                return frame.with_columns(frame[name].alias(STATE))
    return frame


def endings(frame: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """That all runs are unfinished, so that they count all the same; and that their last values are of other steps.

    Args:
        frame: with the added columns of how and where runs end.
        runs: the same rows, to say which.
    """
    import polars as pl

    notes = []
    if STATE in frame.columns and frame[STATE].str.to_lowercase().is_in(_UNFINISHED).fill_null(False).all():
        notes.append("Their tracker says that no run is finished, so all of them count.")
    done = ~unfinished(frame)
    ends = frame[END].filter(done).drop_nulls() if END in frame.columns else pl.Series([])
    if ends.n_unique() > 1:
        first, last = float(ends.to_numpy().min()), float(ends.to_numpy().max())
        early = runs.filter(done & (frame[END] < last))
        notes.append(f"Runs end at different steps, from {first:g} to {last:g}; these end early: {places(early)}.")
    return notes


def unfinished(frame: pl.DataFrame) -> pl.Series:
    """Whether each row is of a run in a state listed as unfinished; false for all rows where all are.

    A run in an unknown state, or in none, counts as finished.
    """
    import polars as pl

    no = pl.Series([False] * frame.height, dtype=pl.Boolean)
    if STATE not in frame.columns:
        return no
    states = frame[STATE].str.to_lowercase().is_in(_UNFINISHED).fill_null(False)
    return no if states.all() else states


def places(rows: pl.DataFrame) -> str:
    """Where rows stand, in a few words."""
    files = rows["file"].n_unique() > 1
    places = []
    for row in rows.head(_SHOWN).iter_rows(named=True):
        where = f"row {row['row']}" if row["row"] is not None else str(row["run"] or row["file"])
        places.append(f"{where} of {row['file']}" if files and row["row"] is not None else where)
    return ", ".join(places) + (f" and {rows.height - _SHOWN} more" if rows.height > _SHOWN else "")
