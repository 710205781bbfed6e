"""A network trained towards the predictions of an earlier one, so that it changes fewer of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lastbit.errors import LastbitError
from lastbit.remedies.remedy import Remedy, Setting, is_number, positive
from lastbit.samples import Loss


def towards(logits: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """The cross-entropy of predictions against a teacher's, a mean over samples: T^2 H(softmax(t / T), softmax(z / T)).

    T^2 keeps the size of its gradient (Hinton et al. 2015, arXiv 1503.02531, section 2.1).

    Args:
        logits: z (n, classes).
        teacher: t (n, classes), which get no gradient.
        temperature: T.
    """
    given = (teacher.detach() / temperature).softmax(-1)
    return temperature**2 * functional.cross_entropy(logits / temperature, given)


@dataclass(frozen=True)
class DistilRemedy(Remedy):
    """The network learns a mean of the targets and of an earlier network's predictions.

    The loss is (1 - weight) L(z, y) + weight T^2 H(softmax(t / T), softmax(z / T)) for the earlier network's logits t.
    All runs follow the same earlier network, so that they differ less from each other, and from it.

    Attributes:
        teacher: a file with the weights of the earlier network, of the same recipe and remedies: one of those that
            trials store (`weights/*.safetensors`), or another in the format safetensors. Of those that hold no
            statistics of batch norm, the statistics of each batch are taken.
        weight: of the earlier predictions, above 0 and at most 1.
        temperature: T.

    Raises:
        LastbitError: a weight or temperature that is not allowed.
    """

    teacher: str = ""
    weight: float = 0.5
    temperature: float = 1.0

    name = "distil"
    main = "teacher"
    help = "the network learns an earlier network's predictions beside the targets"
    changes = "the loss"
    needs = "it needs the loss and an earlier network, which a script does not show"
    source = "Milani Fard et al. 2016; Jiang et al. 2022, arXiv 2106.02654"
    excludes = frozenset({"ensemble", "codistil", "capped"})

    def __post_init__(self) -> None:
        positive(self.name, "temperature", self.temperature)
        if not is_number(self.weight) or not 0 < self.weight <= 1:
            raise LastbitError(f"distil: weight = {self.weight!r}: write a share above 0 and at most 1")

    def on_setting(self, setting: Setting) -> Setting:
        """The model, which in training gives the teacher's outputs below its own, and the loss of both."""
        if not self.teacher:
            warnings.warn("nothing was distilled: name a file of weights, as in distil=PATH", stacklevel=2)
            return setting
        teacher = load_teacher(setting.fresh(0), Path(self.teacher))

        @torch.no_grad()
        def taught(inputs: Any) -> Tensor:
            """The teacher's outputs."""
            outputs: Tensor = teacher(*inputs)
            return outputs

        def hook(module: nn.Module, inputs: Any, outputs: Tensor) -> Tensor:
            """The teacher's outputs below the network's own, in training."""
            return torch.cat([outputs, taught(inputs)]) if module.training else outputs

        setting.model.register_forward_hook(hook)
        return replace(setting, loss=self._loss(setting.loss))

    def _loss(self, loss: Loss) -> Loss:
        def mixed(outputs: Tensor, targets: Tensor) -> Tensor:
            """Of outputs above those of the teacher; in evaluation mode there are none of it."""
            own = outputs[: len(targets)]
            value: Tensor = loss(own, targets)
            if len(outputs) == len(targets):
                return value
            teacher = outputs[len(targets) :]
            return (1 - self.weight) * value + self.weight * towards(own, teacher, temperature=self.temperature)

        return mixed


def load_teacher(network: nn.Module, path: Path) -> nn.Module:
    """Give a network the weights of a file, in evaluation mode and without gradients.

    Args:
        network: of the kind whose weights they are.
        path: of safetensors; torch's own files may hold code, and are not read.

    Raises:
        LastbitError: the file cannot be read, or its weights are another network's.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LastbitError(f"distil: {path} cannot be read: {str(error).splitlines()[0]}") from None
    here = network.state_dict()
    needed = {name for name, _ in network.named_parameters()}
    if not needed <= state.keys() <= here.keys():
        raise LastbitError(f"distil: {path} does not hold the weights of this network, by their names")
    wrong = next((name for name, value in state.items() if value.shape != here[name].shape), None)
    if wrong is not None:
        shapes = f"{tuple(state[wrong].shape)} there, {tuple(here[wrong].shape)} here"
        raise LastbitError(f"distil: {path} holds the weights of another network: {wrong} is {shapes}")
    network.load_state_dict(state, strict=False)
    network.requires_grad_(False).eval()
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and f"{name}.running_mean" not in state:
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    return network
