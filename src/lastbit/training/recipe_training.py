"""A recipe as a training that a study can call: its epochs, what it measures, its snapshots and its checkpoints.

Measuring never changes the training.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.remedies.given import remedies_from_json
from lastbit.training.data import load
from lastbit.training.evaluation import evaluate_trained, gradient_fluctuation
from lastbit.training.loop import recipe_stepper
from lastbit.training.randomness import batch_seeds, dropout_seed, recipe_sources, seeded
from lastbit.training.recipe import Recipe
from lastbit.training.run import Run
from lastbit.training.task import Epochs, Task, check_available, prepare


@dataclass(frozen=True)
class RecipeTraining:
    """A recipe that a study can train: called with a run, it trains once.

    It is plain data, so that it can be sent to workers.

    Raises:
        LastbitError: `checkpoint_every` is below 1, or the recipe has a remedy that no checkpoint can continue.
    """

    seed_decides: ClassVar[str] = "batch order"

    recipe: Recipe
    device: str = "cpu"
    root: Path | None = None  # folder of the fetched data sets; None for the cache
    checkpoint_every: int | None = None  # epochs between checkpoints, from which a killed training continues

    def __post_init__(self) -> None:
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise LastbitError(f"checkpoint_every = {self.checkpoint_every}: at least 1 epoch is needed")
        fixed = [remedy.name for remedy in remedies_from_json(self.recipe.remedy) if not remedy.resumes]
        if self.checkpoint_every is not None and fixed:
            raise LastbitError(
                f"checkpoint_every = {self.checkpoint_every}: a training with the remedy {fixed[0]} would not go on to "
                "the same bits; leave checkpoints out"
            )

    @property
    def settings(self) -> dict[str, object]:
        """What identifies this training: the whole recipe and the kind of device.

        A recipe with augmentation says that its stream is its own. Before, crops and flips shared their random numbers
        with the order of batches, so that no trial of that time may stand for one of today.
        """
        own = {"augmentation_stream": "own"} if self.recipe.data.augment else {}
        return self.recipe.model_dump(mode="json") | {"device": torch.device(self.device).type} | own

    @property
    def sources(self) -> dict[str, str]:
        """The sources of randomness that may have a seed of their own; and of the others, why this recipe has none."""
        return recipe_sources(self.recipe)

    def check(self) -> None:
        """Check that the recipe's data set is on this machine and large enough.

        Raises:
            RecipeError, ValueError: as `prepare` does.
        """
        check_available(self.recipe, root=self.root)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the data set's classes, by label."""
        return load(self.recipe.data.name, root=self.root).classes

    def pictures(self, positions: Sequence[int]) -> list[str]:
        """PNG pictures of test images as data URIs.

        Args:
            positions: in the test set.
        """
        images = load(self.recipe.data.name, root=self.root).test_images
        return [_picture(images[position]) for position in positions]

    def __call__(self, run: Run) -> None:
        """Train to the end, or to the step at which the loss stops being finite, and record the results in `run`.

        If an earlier attempt left a checkpoint, the training continues from there, to the same bits.
        """
        task = prepare(self.recipe, device=torch.device(self.device), root=self.root)
        RecipeRun(self.recipe, task, run).train(checkpoint_every=self.checkpoint_every)


def _picture(pixels: Tensor) -> str:
    """A PNG of uint8 pixels (channels, height, width) as a data URI."""
    from PIL import Image  # only here: no trial needs it

    grey = pixels.shape[0] == 1
    file = BytesIO()
    Image.fromarray((pixels[0] if grey else pixels.permute(1, 2, 0)).numpy()).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(file.getvalue()).decode("ascii")


class RecipeRun:
    """A recipe's training in epochs, with the seeds and the noise of a run.

    After each epoch it logs `epoch`, `lr` (of that epoch), `train_loss` (mean of the epoch), `test_accuracy` (percent),
    `test_loss`, and where the recipe asks for it `gradient_fluctuation`. It keeps weights at `snapshot_steps`.
    """

    def __init__(self, recipe: Recipe, task: Task, run: Run) -> None:
        self.recipe, self.task, self.run = recipe, task, run
        own = dropout_seed(run.seed, run.seeds)
        self.stepper = recipe_stepper(seeded(recipe, run.seeds), task, run.noise, dropout_seed=own)
        self._epochs: Epochs = task.epochs(*batch_seeds(run.seed, run.seeds))
        self._kept_steps = snapshot_steps(task.steps_per_epoch, recipe.epochs, recipe.measure.snapshot_epochs)

    def train(self, *, checkpoint_every: int | None = None) -> None:
        """Train from an earlier attempt's checkpoint, if there is one, to the end or to a loss that is not finite.

        Args:
            checkpoint_every: epochs from one checkpoint to the next; None for none.
        """
        for epoch in range(1 + self._epochs_done(), self.recipe.epochs + 1):
            lr = self.stepper.lr
            train_loss = self._train_epoch()
            if train_loss is None:
                return
            self._log(epoch, lr=lr, train_loss=train_loss)
            if checkpoint_every is not None and epoch % checkpoint_every == 0 and epoch < self.recipe.epochs:
                self.run.save_checkpoint(self.stepper.step, self._state())

    def _train_epoch(self) -> float | None:
        """Update once for each batch; return the mean loss, or None if a loss is not finite."""
        total = 0.0
        for batch in next(self._epochs):
            loss = self.stepper.take(batch)
            if not loss.isfinite():
                self.run.mark_diverged(self.stepper.step)
                return None
            total += float(loss) * len(batch[1])
            if self.stepper.step in self._kept_steps:
                self.run.snapshot(self.stepper.step, dict(self.stepper.evaluated_model.named_parameters()))
        return total / len(self.task.train_labels)

    def _log(self, epoch: int, **metrics: float) -> None:
        evaluation = evaluate_trained(self.stepper, self.task)
        metrics |= {"test_accuracy": evaluation.accuracy, "test_loss": evaluation.loss}
        measure = self.recipe.measure
        if measure.fluctuation_epochs and epoch % measure.fluctuation_epochs == 0:
            stepper, batches = self.stepper, measure.fluctuation_batches
            fluctuation = gradient_fluctuation(stepper.model, self.task, batches=batches, loss=stepper.loss)
            metrics["gradient_fluctuation"] = fluctuation
        self.run.log(self.stepper.step, epoch=epoch, **metrics)
        if epoch == self.recipe.epochs:
            self.run.log_predictions(evaluation.predictions, self.task.test_labels.cpu())

    def _state(self) -> dict[str, Any]:
        """Return everything that decides the rest of the training, at the end of an epoch."""
        return {
            "model": self.stepper.model.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),  # with the learning rate of the schedule
            "batches": self._epochs.state_dict(),
            "average": None if self.stepper.average is None else self.stepper.average.state_dict(),
        }

    def _epochs_done(self) -> int:
        """Load an earlier attempt's checkpoint if there is one; return how many epochs are done."""
        checkpoint = self.run.load_checkpoint()
        if checkpoint is None:
            return 0
        self.stepper.model.load_state_dict(checkpoint.state["model"])
        self.stepper.optimizer.load_state_dict(checkpoint.state["optimizer"])
        self._epochs.load_state_dict(checkpoint.state["batches"])
        if self.stepper.average is not None:
            self.stepper.average.load_state_dict(checkpoint.state["average"])
        self.stepper.go_on_from(checkpoint.step)
        return checkpoint.step // self.task.steps_per_epoch


def snapshot_steps(steps_per_epoch: int, epochs: int, every: int = 1) -> frozenset[int]:
    """Return the steps after which weights are kept: often at first, while differences grow by orders of magnitude.

    Within the first epoch they are spaced by √2; later they are the end of every `every`-th epoch, and the last step.

    Args:
        steps_per_epoch: updates of an epoch.
        epochs: epochs of the training.
        every: epochs from one snapshot to the next after the first epoch.
    """
    spaced, exponent = set(), 0
    while (step := round(2 ** (exponent / 2))) < steps_per_epoch:
        spaced.add(step)
        exponent += 1
    ends = {epoch * steps_per_epoch for epoch in range(every, epochs, every)}
    return frozenset(spaced | ends | {steps_per_epoch, steps_per_epoch * epochs})
