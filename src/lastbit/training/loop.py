"""The training loop of the built-in recipes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.errors import LastbitError
from lastbit.noise import perturb
from lastbit.training.epochs import Epochs
from lastbit.training.evaluate import evaluate
from lastbit.training.fluctuation import gradient_fluctuation
from lastbit.training.network import initial_network
from lastbit.training.optimizer import build_optimizer, build_schedule
from lastbit.training.recipe import Recipe
from lastbit.training.run import Run
from lastbit.training.snapshots import snapshot_steps
from lastbit.training.task import Task, check_available, prepare


@dataclass(frozen=True)
class RecipeTraining:
    """A recipe as something to call: trains once for the run it is given. Plain data, so that it travels to workers.

    Raises:
        LastbitError: `checkpoint_every` is below 1.
    """

    recipe: Recipe
    device: str = "cpu"
    root: Path | None = None  # folder of the fetched data sets; None for the cache
    checkpoint_every: int | None = None  # epochs after which a killed training can go on; None for never

    def __post_init__(self) -> None:
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise LastbitError(f"checkpoint_every = {self.checkpoint_every}: at least 1 epoch is needed")

    @property
    def settings(self) -> dict[str, object]:
        """What identifies this training: the whole recipe and the kind of device."""
        return self.recipe.model_dump(mode="json") | {"device": torch.device(self.device).type}

    def check(self) -> None:
        """Check that the recipe's data set is on this machine and large enough.

        Raises:
            RecipeError, ValueError: as `prepare` does.
        """
        check_available(self.recipe, root=self.root)

    def __call__(self, run: Run) -> None:
        """Train to the end, or to the step where the loss stops being finite, and leave the results with `run`.

        An earlier attempt's checkpoint is gone on from, to the same bits.
        """
        task = prepare(self.recipe, device=torch.device(self.device), root=self.root)
        Training(self.recipe, task, run).run_all(checkpoint_every=self.checkpoint_every)


class Training:
    """A recipe's network in training, with a run's seed and noise.

    After each epoch it logs `epoch`, `lr` (of that epoch), `train_loss` (mean of the epoch), `test_accuracy` (percent),
    `test_loss`, and where the recipe asks for it `gradient_fluctuation`; it keeps weights at `snapshot_steps`.
    """

    def __init__(self, recipe: Recipe, task: Task, run: Run) -> None:
        self.recipe, self.task, self.run = recipe, task, run
        self.model = initial_network(recipe, task)
        self.optimizer = perturb(build_optimizer(recipe.optimizer, self.model.parameters()), run.noise)
        self.schedule = build_schedule(recipe.schedule, self.optimizer)
        self.step = 0

    def run_all(self, *, checkpoint_every: int | None = None) -> None:
        """Train every epoch, unless the loss stops being finite.

        Args:
            checkpoint_every: epochs after which a checkpoint is left; None for never.
        """
        batches = self.task.epochs(self.run.seed)
        for epoch in range(1 + self._go_on(batches), self.recipe.epochs + 1):
            lr = float(self.schedule.get_last_lr()[0])
            train_loss = self.run_epoch(next(batches))
            if train_loss is None:
                return
            self.schedule.step()
            self._report(epoch, lr=lr, train_loss=train_loss)
            if checkpoint_every is not None and epoch % checkpoint_every == 0 and epoch < self.recipe.epochs:
                self.run.save_checkpoint(self.step, self._state(batches))

    def _state(self, batches: Epochs) -> dict[str, Any]:
        """All that decides the rest of the training, at the end of an epoch."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "batches": batches.state_dict(),
        }

    def _go_on(self, batches: Epochs) -> int:
        """Load an earlier attempt's checkpoint where there is one; give the epochs that are done."""
        checkpoint = self.run.load_checkpoint()
        if checkpoint is None:
            return 0
        self.model.load_state_dict(checkpoint.state["model"])
        self.optimizer.load_state_dict(checkpoint.state["optimizer"])
        self.schedule.load_state_dict(checkpoint.state["schedule"])
        batches.load_state_dict(checkpoint.state["batches"])
        self.step = checkpoint.step
        return self.step // self.task.steps_per_epoch

    def run_epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> float | None:
        """Update once for each batch; return the mean loss, or None from the step where it is not finite."""
        total = 0.0
        for images, labels in batches:
            loss = self.update(images, labels)
            if not loss.isfinite():
                self.run.mark_diverged(self.step)
                return None
            total += float(loss) * len(labels)
            if self.step in self._kept_steps:
                self.run.snapshot(self.step, dict(self.model.named_parameters()))
        return total / len(self.task.train_labels)

    @cached_property
    def _kept_steps(self) -> frozenset[int]:
        measure = self.recipe.measure
        return snapshot_steps(self.task.steps_per_epoch, self.recipe.epochs, measure.snapshot_epochs)

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one step on a batch, arranged as the noise has it, and return its loss before the step."""
        images, labels = self.run.noise.arrange((images, labels), self.step)
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _report(self, epoch: int, **metrics: float) -> None:
        evaluation = evaluate(self.model, self.task)
        metrics |= {"test_accuracy": evaluation.accuracy, "test_loss": evaluation.loss}
        every = self.recipe.measure.fluctuation_epochs
        if every and epoch % every == 0:
            metrics["gradient_fluctuation"] = self._gradient_fluctuation()
        self.run.log(self.step, epoch=epoch, **metrics)
        if epoch == self.recipe.epochs:
            self.run.log_predictions(evaluation.predictions, self.task.test_labels.cpu())

    def _gradient_fluctuation(self) -> float:
        return gradient_fluctuation(self.model, self.task, batches=self.recipe.measure.fluctuation_batches)
