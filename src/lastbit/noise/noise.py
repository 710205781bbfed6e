"""What a noise is: its settings, how it is put on a training, and how it is written down and read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.plugins import Registry

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lastbit.optimizers.weights import Groups


@dataclass(frozen=True)
class Option:
    """An option of a noise on the command line; noises may share one."""

    name: str  # `noise_seeds` is --noise-seeds, and the argument of `Noise.choose`
    kind: type  # float, or list for whole numbers such as 1-3,7
    help: str

    @property
    def flag(self) -> str:
        """As it is written: `--noise-seeds`."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Noise:
    """A disturbance of training at the level of its last bit. A subclass is a frozen dataclass of plain settings.

    One that names its `kind` is a noise from then on, in the whole program: on the command line, in JSON, in pages. It
    says what it does by `prepare`, for what follows an optimizer's step, by `accompany`, for what is computed with its
    weights, by `arrange`, for batches, or by `attach`. Files of noises import torch only inside of functions, so that
    `lastbit --help` need not wait for it.
    """

    kind: ClassVar[str]  # in plain data, and after --noise
    help: ClassVar[str] = ""  # what it does in a few words, for --help; "" keeps it off the command line
    source: ClassVar[str] = "last-bit noise"  # what runs with this noise differ in
    subject: ClassVar[str] = "the last bit"  # what moves the results, in the middle of a sentence
    difference: ClassVar[str] = "the last bit of its updates"  # what two runs of one seed differ in, in detail
    explanation: ClassVar[str] = ""  # for the page of a study, in HTML: what is disturbed, and what the labels mean
    options: ClassVar[tuple[Option, ...]] = ()
    takes_fused: ClassVar[bool] = True  # whether it goes with the fused kernels of torch's optimizers

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in vars(cls):
            KINDS.enter(cls.kind, cls)

    @property
    def label(self) -> str:
        """The noise in a word, for tables."""
        return self.kind

    @property
    def is_exact(self) -> bool:
        """Whether runs with this noise must be bit-identical to the baseline's."""
        return False

    @property
    def arranges(self) -> bool:
        """Whether batches are what it acts on."""
        return type(self).arrange is not Noise.arrange

    def as_json(self) -> dict[str, Any]:
        """Plain data with a `kind`, which `noise_from_json` reads back."""
        return {"kind": self.kind, **{field.name: getattr(self, field.name) for field in fields(self)}}

    def baseline(self) -> Noise:
        """The noise of its kind that changes nothing."""
        return Unperturbed()

    def another(self) -> Noise | None:
        """A noise of the same kind and size that disturbs other bits: that of the next seed; None without one."""
        seed = getattr(self, "seed", None)
        following = {} if seed is None or seed == LARGEST_NOISE_SEED else {"seed": seed + 1}
        return replace(self, **following) if following else None

    def controls(self) -> Mapping[str, tuple[Noise, Noise]]:
        """Pairs of noises whose runs must agree bit for bit, by name; the second is the reference of the first.

        By default this noise and itself, and the noise turned off with no noise at all.
        """
        return {"repeat": (self, self), "null": (self.baseline(), Unperturbed())}

    @classmethod
    def choose(cls, *args: Any, **options: Any) -> Sequence[Noise]:
        """The noises of a study that options on the command line ask for; the others are compared with the first."""
        noise = cls(*args, **options)
        return [noise.baseline(), noise]

    def attach(self, optimizer: Optimizer) -> None:
        """Put the noise on this very optimizer; `install` and `perturb` check it first and then call this.

        Every step of the optimizer, whatever its class, is followed by what `prepare` returns, if there is a `prepare`.

        Raises:
            LastbitError: a parameter is no plain dense tensor.
        """
        if type(self).prepare is not Noise.prepare or type(self).accompany is not Noise.accompany:
            from lastbit.optimizers.perturbed import follow
            from lastbit.optimizers.weights import disturbable

            disturbable(optimizer.param_groups)
            follow(optimizer, self)

    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Look at the weights before an update, the `step`-th from 0; return what is to be done right after it."""
        return nothing

    def accompany(self, optimizer: Optimizer) -> None:
        """Disturb more than the steps of an optimizer that has come to carry this noise, as its copies do too."""

    def arrange(self, batch: Any, step: int) -> Any:
        """A batch, the `step`-th from 0, as the training is to use it: in another order of its samples, or as it is."""
        return batch


KINDS: Registry[Noise] = Registry("lastbit.noise", "lastbit.noises", "the noise")


def nothing() -> None:
    """What is done after an update that no noise follows."""


@dataclass(frozen=True)
class Unperturbed(Noise):
    """No noise at all: leaves optimizer and batches alone. A noise that is turned off must agree with it."""

    kind = "unperturbed"
    source, subject = "nothing", "the noise"

    @property
    def is_exact(self) -> bool:
        """It changes no bit."""
        return True

    def baseline(self) -> Unperturbed:
        """Itself."""
        return self

    def controls(self) -> dict[str, tuple[Noise, Noise]]:
        """Itself and itself."""
        return {"repeat": (self, self)}


def noise_from_json(data: Mapping[str, Any]) -> Noise:
    """Read back what a noise's `as_json` gave.

    Raises:
        LastbitError: the kind is unknown, or its settings are missing, superfluous or out of range.
    """
    settings = dict(data)
    name = settings.pop("kind", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise LastbitError(
            f"a noise has a kind, one of {', '.join(KINDS.names())}; got {name!r} in {dict(data)}. A noise of your own "
            "is known once its module is imported, or through an entry point `lastbit.noises` of an installed package; "
            "a stored file never decides what is imported"
        )
    try:
        return kind(**settings)
    except TypeError as error:
        raise LastbitError(f"these are not the settings of the noise {name!r}: {settings} ({error})") from None


def setting_names() -> frozenset[str]:
    """What the plain data of a noise may hold, for all kinds that are defined."""
    return frozenset({"kind"}.union(*({field.name for field in fields(kind)} for kind in KINDS.all())))


LARGEST_NOISE_SEED = 2**63 - 1


def whole_seed(seed: Any) -> int:
    """Check a noise's seed.

    Raises:
        LastbitError: it is no whole number from 0 to 2**63 - 1.
    """
    is_integer = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not is_integer or not 0 <= seed <= LARGEST_NOISE_SEED:
        raise LastbitError(f"the seed of a noise is a whole number from 0 to 2**63 - 1; got {seed!r}")
    return int(seed)
