"""People's own training programs: noise put on their optimizers from outside, and how they are run."""

from lastbit.script.launch import child_command, launch
from lastbit.script.target import Target, parse_target

__all__ = ["Target", "child_command", "launch", "parse_target"]
