"""Noises on the command line: which kind, and how much and how many of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lastbit.cli.options import parse_numbers
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.noise import Noise, Rounding


SCALES = "1,3,5,7,9,11"
SEEDS = "1-5"
PROBABILITY = 0.03  # about the share of weights that the paper's k moves at each step of ordinary training


class Kind(StrEnum):
    """What is disturbed."""

    SCALE = "scale"
    ULP = "ulp"
    ROUNDING = "rounding"
    ORDER = "order"


_OWNERS = {"--k": (Kind.SCALE,), "--noise-seeds": (Kind.ULP, Kind.ROUNDING, Kind.ORDER), "--p": (Kind.ROUNDING,)}

NoiseOption = Annotated[
    Kind,
    typer.Option(
        "--noise",
        help="`scale`: the paper's k. `ulp`: one weight by one ulp, once. `rounding`: each update by one ulp with "
        "probability p. `order`: samples permuted inside batches.",
    ),
]
ScalesOption = Annotated[
    str | None, typer.Option("--k", metavar="LIST", help=f"For scale: θ ← θ − (lr·k)·(d/k) [{SCALES}].")
]
NoiseSeedsOption = Annotated[
    str | None, typer.Option("--noise-seeds", metavar="LIST", help=f"Seeds of the other noises [{SEEDS}].")
]
ProbabilityOption = Annotated[
    float | None, typer.Option("--p", metavar="P", help=f"For rounding: the probability [{PROBABILITY}].")
]


def parse_noises(kind: Kind, *, k: str | None, noise_seeds: str | None, p: float | None) -> list[Noise]:
    """The noises that a command's options ask for, the one to compare the others with first.

    Args:
        kind: of all of them.
        k: list of divisors for `Kind.SCALE`, in which the first is compared with; None for 1, 3, 5, 7, 9 and 11.
        noise_seeds: list of seeds for the other kinds, before which the noise that changes nothing is put; None for
            1 to 5.
        p: probability for `Kind.ROUNDING`; None for 0.03.

    Raises:
        LastbitError: an option that does not belong to the kind, or a value that is not allowed.
    """
    from lastbit.noise import Scale

    _refuse_foreign(kind, {"--k": k, "--noise-seeds": noise_seeds, "--p": p})
    if kind is Kind.SCALE:
        return [Scale(number) for number in parse_numbers(SCALES if k is None else k, "--k")]
    seeds = parse_numbers(SEEDS if noise_seeds is None else noise_seeds, "--noise-seeds")
    members = [_member(kind, seed, p) for seed in seeds]
    return [members[0].baseline(), *members]


def _refuse_foreign(kind: Kind, given: dict[str, object]) -> None:
    for option, value in given.items():
        if value is not None and kind not in _OWNERS[option]:
            owners = " or ".join(_OWNERS[option])
            raise LastbitError(f"{option} {value} is for --noise {owners}, and the noise here is {kind}")


def _member(kind: Kind, seed: int, p: float | None) -> Noise:
    from lastbit.noise import Order, Ulp

    if kind is Kind.ROUNDING:
        return _rounding(seed, PROBABILITY if p is None else p)
    return Ulp(seed) if kind is Kind.ULP else Order(seed)


def _rounding(seed: int, p: float) -> Rounding:
    from lastbit.noise import Rounding

    if p == 0:
        raise LastbitError("--p 0.0 moves no weight, as the run that all others are compared with; give more than 0")
    return Rounding(p, seed)
