"""Studies: the same training over seeds and noises, stored as it goes, and what the differences are worth.

The design of seeds and noises and its controls are the paper's (section 4.1, appendix B).
"""

from lastbit.study.controls import Controls, ControlsFailedError
from lastbit.study.execute import Outcome
from lastbit.study.failure import TrialFailedError
from lastbit.study.hand_out import StoppedError
from lastbit.study.recorder import Recorder
from lastbit.study.results import Results
from lastbit.study.study import Study
from lastbit.study.trial import Trial

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
