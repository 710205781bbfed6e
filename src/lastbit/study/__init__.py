"""Studies: the same training over seeds and noises, stored as it goes, and what the differences are worth.

The design of seeds and noises and its controls are the paper's (section 4.1, appendix B).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastbit.execution.jobs import Outcome, StoppedError
    from lastbit.study.controls import Controls, ControlsFailedError
    from lastbit.study.recorder import Recorder
    from lastbit.study.results import Results
    from lastbit.study.study import Study
    from lastbit.study.trial import Trial, TrialFailedError

__all__ = [
    "Controls",
    "ControlsFailedError",
    "Outcome",
    "Recorder",
    "Results",
    "StoppedError",
    "Study",
    "Trial",
    "TrialFailedError",
]

# Imported when first used: the process of a script's trial needs a recorder, and neither statistics nor charts, which
# would cost each trial a second.
_HOMES = {
    "Controls": "lastbit.study.controls",
    "ControlsFailedError": "lastbit.study.controls",
    "Outcome": "lastbit.execution.jobs",
    "Recorder": "lastbit.study.recorder",
    "Results": "lastbit.study.results",
    "StoppedError": "lastbit.execution.jobs",
    "Study": "lastbit.study.study",
    "Trial": "lastbit.study.trial",
    "TrialFailedError": "lastbit.study.trial",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lastbit.study' has no attribute {name!r}")
