"""Two networks that are trained together, each towards the other's predictions too."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lastbit.remedies.distil import towards
from lastbit.remedies.ensemble import members_of, sum_of_losses
from lastbit.remedies.remedy import Remedy, Setting, positive
from lastbit.samples import Loss


@dataclass(frozen=True)
class CodistilRemedy(Remedy):
    """Two networks from different first weights see the same batches; each learns the targets and the other's output.

    The loss of network i beside network j is L(z_i, y) + weight * H(p_j, p_i), with the cross-entropy H of the
    probabilities p = softmax(z), of which p_j is taken as given. The first network predicts; the other one is thrown
    away. So training costs twice as much, and predicting nothing.

    Attributes:
        weight: of the other's predictions beside the targets.

    Raises:
        LastbitError: the weight is not positive and finite.
    """

    weight: float = 1.0

    name = "codistil"
    main = "weight"
    help = "two networks are trained together, each towards the other's predictions too"
    changes = "the loss"
    needs = "it trains a network beside the script's own"
    source = "Anil et al. 2018, arXiv 1804.03235; Bhojanapalli et al. 2021, arXiv 2102.03349"
    excludes = frozenset({"ensemble", "distil", "capped"})

    def __post_init__(self) -> None:
        positive(self.name, "weight", self.weight)

    def on_setting(self, setting: Setting) -> Setting:
        """Both networks as one model, of which the first predicts, and the loss of both."""
        return replace(setting, model=members_of(setting, 2, evaluated=1), loss=self._loss(setting.loss))

    def _loss(self, loss: Loss) -> Loss:
        separate = sum_of_losses(loss)

        def both(outputs: Tensor, targets: Tensor) -> Tensor:
            """Of the outputs of both, one under another; in evaluation mode there are those of one alone."""
            total: Tensor = separate(outputs, targets)
            if len(outputs) == len(targets):
                return total
            one, other = torch.split(outputs, len(targets))
            return total + self.weight * (towards(one, other) + towards(other, one))

        return both
