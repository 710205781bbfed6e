"""What linearised training predicts of the distance between twins, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lastbit.divergence.growth import Growth, growth

PARTED = 0.5  # relative gap from which on prediction and twins have parted


@dataclass(frozen=True)
class Parting:
    """The step at which twins leave the prediction."""

    step: int
    gap: float  # ‖δ − δ̂‖ / ‖δ‖ after it
    tensor: str  # that holds most of the gap
    share: float  # of the gap's square that is in this tensor, in [0, 1]


@dataclass(frozen=True)
class LinearGrowth:
    """Distances after each step: as measured, and as linearised training predicts them.

    δ is the difference of the twins' weights and δ̂ its prediction, w the first twin's weights.
    """

    steps: tuple[int, ...]  # 1, 2, 3, ...
    measured: tuple[float, ...]  # ‖δ‖ / ‖w‖
    predicted: tuple[float, ...]  # ‖δ̂‖ / ‖w‖
    amplified: tuple[float, ...]  # the same of the first difference alone, without the noise of later steps
    noise: tuple[float, ...]  # ‖ν‖ / ‖w‖, what rounding adds in this step: of gradients and updates
    of_updates: tuple[float, ...]  # the same of the updates alone
    gaps: tuple[float, ...]  # ‖δ − δ̂‖ / ‖δ‖; 0 where both are 0
    gap_norms: Mapping[str, tuple[float, ...]]  # name of the tensor -> its ‖δ − δ̂‖

    @property
    def amplification(self) -> float:
        """How many times as large the first difference alone has become, relative to the weights; 1 without one."""
        first = next((value for value in self.amplified if value), 1.0)
        return self.amplified[-1] / first if any(self.amplified) else 1.0

    def growth(self, *, jump: float = 10.0) -> Growth:
        """Growth of the predicted distance; arguments as for `lastbit.divergence.growth`."""
        return growth(self.predicted, self.steps, jump=jump)

    def parting(self, *, level: float = PARTED) -> Parting | None:
        """Where twins leave the prediction: the first step after which the gap is above a level; None if it never is.

        Up to there rounding and its linear amplification make the whole of the distance. What parts them is not linear:
        an activation on the other side of its kink, or a distance that has become large.

        Args:
            level: of ‖δ − δ̂‖ / ‖δ‖. A distance that is not finite is above every level.
        """
        for place, (step, gap) in enumerate(zip(self.steps, self.gaps, strict=True)):
            if not gap <= level:
                norms = {name: values[place] for name, values in self.gap_norms.items()}
                largest = max(norms, key=lambda name: norms[name])
                total = sum(value**2 for value in norms.values())
                return Parting(step, gap, largest, norms[largest] ** 2 / total if total else 0.0)
        return None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON of all fields, with the growth of the prediction and the parting."""
        parting = self.parting()
        return {
            "predicted": list(self.predicted),
            "amplified": list(self.amplified),
            "amplification": self.amplification,
            "noise": list(self.noise),
            "noise_of_updates": list(self.of_updates),
            "gap": list(self.gaps),
            "gap_norms": {name: list(norms) for name, norms in self.gap_norms.items()},
            "growth": self.growth().as_json(),
            "parting": None if parting is None else asdict(parting),
        }
