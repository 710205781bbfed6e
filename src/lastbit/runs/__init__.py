"""Runs that people already have, read into one table: CSV, W&B, MLflow, TensorBoard and others.

`read_runs` takes files and directories, `runs_of_frame` a pandas or polars frame. Both find out which columns are
configuration, which is the seed, and which runs repeat one recipe, and say what they assumed in `RunTable.notes`.
Nothing here trains, tests or draws, and no tracker has to be installed.
"""

from lastbit.runs.read import read_runs, runs_of_frame
from lastbit.runs.table import RunTable

__all__ = ["RunTable", "read_runs", "runs_of_frame"]
