"""Every optimizer that torch has, stepped alike through made-up gradients."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lastbit.noise import Noise, install

ALL = sorted(
    (
        found
        for found in vars(torch.optim).values()
        if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
    ),
    key=lambda cls: cls.__name__,
)
FUSED = (torch.optim.Adagrad, torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)  # on the CPU


@dataclass
class Course:
    """An optimizer of some class, a noise on it or not, and steps that are the same for every course."""

    cls: type[torch.optim.Optimizer]
    noise: Noise | None = None
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    options: dict[str, Any] = field(default_factory=dict)
    optimizer: torch.optim.Optimizer = field(init=False)
    params: list[torch.nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((7, 11), (40, 5))]
        self.params = [torch.nn.Parameter(weight.to(self.device, self.dtype)) for weight in drawn]
        rate = {} if self.cls is torch.optim.SparseAdam else {"lr": 0.01}
        self.optimizer = self.cls(self.params, **(rate | self.options))
        if self.noise is not None:
            install(self.optimizer, self.noise)

    def walk(self, start: int = 0, stop: int = 4) -> list[Tensor]:
        """Take these steps; return copies of the weights."""
        for step in range(start, stop):
            closure = self._closure(step)
            if self.cls is torch.optim.LBFGS:
                self.optimizer.step(closure)
            else:
                closure()
                self.optimizer.step()
        return self.weights()

    def weights(self) -> list[Tensor]:
        return [param.detach().clone() for param in self.params]

    def _closure(self, step: int) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            for param in self.params:
                grad = torch.sin(param.detach() * 3 + step)
                param.grad = grad.to_sparse() if self.cls is torch.optim.SparseAdam else grad
            return sum(param.detach().sum() for param in self.params)

        return closure


def walked(cls: type[torch.optim.Optimizer], noise: Noise | None = None, **options: Any) -> list[Tensor]:
    """The weights after a whole course."""
    return Course(cls, noise, options=options).walk()
