"""What a remedy is: a plug-in with a name and options that acts on a training's model, optimizer, rates or average."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, Self, TypeGuard

from lastbit.errors import LastbitError
from lastbit.plugins import Registry

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from lastbit.samples import Loss


@dataclass(frozen=True)
class Setting:
    """The training that a remedy is put on."""

    model: nn.Module  # in the mode in which it trains
    loss: Loss  # `loss(model(inputs), targets)`, a mean over samples
    batch: Callable[[], Any]  # gives inputs and targets that curvature can be measured on
    fresh: Callable[[int], nn.Module]  # gives another network of the model's kind, its first weights from a seed


class Averaging(Protocol):
    """Weights that are evaluated in place of those in training, such as `lb.remedies.Average`."""

    @property
    def updates(self) -> int:
        """How many weights have gone into them; before the first there are none."""

    @property
    def averaged(self) -> nn.Module:
        """A copy of the model with them."""

    def update(self) -> None:
        """Take note of the model's present weights, after a step of the optimizer."""

    def applied(self, batches: Iterable[Any] | None = None) -> AbstractContextManager[nn.Module]:
        """Put them into the model while a block runs, with statistics of batch norm from the batches."""

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""


@dataclass(frozen=True)
class Remedy:
    """Something that may lower churn or keep training stable. A subclass is a frozen dataclass of plain settings.

    One that has a `name` is a remedy from then on, in the whole program: in recipes, on the command line, in JSON and
    pages. It acts by any of `on_model`, `on_optimizer`, `rate` and `average`; what it leaves alone stays as it is.
    """

    name: ClassVar[str]  # before the `=` in `smooth=silu`, and in recipes
    main: ClassVar[str] = ""  # the option that the word after the `=` sets; "" where there is none
    help: ClassVar[str] = ""  # what it does in a few words
    changes: ClassVar[str] = ""  # what of a training it changes, such as `the activations`
    source: ClassVar[str] = ""  # who proposed it, and where
    excludes: ClassVar[frozenset[str]] = frozenset()  # names of remedies that it does not go with
    resumes: ClassVar[bool] = True  # whether a training with it can go on from a checkpoint to the same bits
    needs: ClassVar[str] = "nothing puts it on from outside"  # why a script cannot have it, where it cannot

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            REMEDIES.enter(cls.name, cls)

    @classmethod
    def usual(cls, steps: int) -> Self:
        """The remedy with the options that one would try first in a training of so many updates."""
        return cls()

    @property
    def label(self) -> str:
        """As the command line writes it: `smooth=silu:width=0.5`, with what differs from the defaults."""
        options = self.options()
        value = _word(options.pop(self.main)) if self.main else ""
        return (
            self.name
            + (f"={value}" if value else "")
            + "".join(f":{name}={_word(value)}" for name, value in options.items())
        )

    @property
    def hides(self) -> frozenset[str]:
        """Kinds of noise that it takes away before they reach the weights: a churn by them would say nothing."""
        return frozenset()

    def options(self) -> dict[str, Any]:
        """Its main option, and all others that differ from their defaults, as plain data."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name == self.main
        }

    def on_model(self, model: nn.Module) -> nn.Module:
        """The model as it is to be trained: itself, changed in place, or another."""
        return model

    def on_setting(self, setting: Setting) -> Setting:
        """The model and the loss that are trained, once all remedies have changed the model by `on_model`."""
        return setting

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """The optimizer that is to be stepped: itself, with hooks maybe, or one around it."""
        return optimizer

    def rate(self, scheduled: float, step: int, steps: int) -> float:
        """The factor by which the learning rate is multiplied at a step.

        Args:
            scheduled: the factor of the recipe's own schedule, and of remedies before this one.
            step: updates so far.
            steps: updates of the whole training.
        """
        return scheduled

    def average(self, model: nn.Module) -> Averaging | None:
        """The average of the weights that is evaluated in place of them; None where the weights themselves are."""
        return None

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Put it on a script from outside, in each of its processes as soon as that has imported torch.

        Args:
            refuse: ends the script with a reason; for what is found only while it runs.

        Returns:
            Gives at the script's end what to say of it, in words that follow "runs"; empty where there is nothing.
        """
        return str

    def on_made(self, optimizer: Optimizer) -> None:
        """Put it from outside on an optimizer that a script has just made, in place."""

    def unfit_for_scripts(self) -> str:
        """Why it cannot be put on a script from outside, with these options; empty where it can."""
        return "" if self.acts_by("on_program") or self.acts_by("on_made") else self.needs

    @classmethod
    def acts_by(cls, method: str) -> bool:
        """Whether it acts by a method, such as `rate`, or on scripts by `on_program` or `on_made`."""
        return getattr(cls, method) is not getattr(Remedy, method)


REMEDIES: Registry[Remedy] = Registry("lastbit.remedies", "lastbit.remedies", "the remedy")


def is_number(value: object) -> TypeGuard[float]:
    """Whether an option is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def positive(remedy: str, option: str, value: object) -> None:
    """Check that an option is a number above 0 and below infinity.

    Args:
        remedy: its name.
        option: of the remedy.
        value: that was given.

    Raises:
        LastbitError: it is not.
    """
    if not is_number(value) or not 0 < value < float("inf"):
        raise LastbitError(f"{remedy}: {option} = {value!r}: write a positive, finite number")


def counted(remedy: str, option: str, value: object, *, least: int = 1) -> None:
    """Check that an option is a whole number.

    Args:
        remedy: its name.
        option: of the remedy.
        value: that was given.
        least: the smallest that is allowed.

    Raises:
        LastbitError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise LastbitError(f"{remedy}: {option} = {value!r}: write a whole number from {least}")


def _word(value: object) -> str:
    """A value as it is written after a `=`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
