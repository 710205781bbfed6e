"""Is this machine fit for studies: does its arithmetic repeat, and is what they need here?"""

from lastbit.doctor.check import Check, Outcome
from lastbit.doctor.examine import Examination, examine

__all__ = ["Check", "Examination", "Outcome", "examine"]
