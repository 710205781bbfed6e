"""How a script takes its seeds: a single one by an argument or a variable, or one for each source by `--vary`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Annotated

import typer

from lastbit.cli.varied import LAST_BIT
from lastbit.errors import LastbitError

_SEED = "{seed}"

SeedsOption = Annotated[str | None, typer.Option(metavar="LIST", help="Seeds, with --seed-arg or --seed-env [1].")]
SeedArgOption = Annotated[str | None, typer.Option(metavar="TEXT", help='Such as "--seed {seed}".')]
SeedEnvOption = Annotated[str | None, typer.Option(metavar="NAME", help="An environment variable, such as SEED.")]
SeedArgsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=ARG",
        help=f'What varies and is told apart: "init=--init-seed {_SEED}" for each source, and {LAST_BIT}.',
    ),
]


def parse_seed_args(
    vary: Sequence[str] | None, command: Sequence[str], *, seed_arg: str | None, seed_env: str | None
) -> tuple[str | None, dict[str, str]]:
    """What varies, and the argument of a script that takes the seed of each source, by the name of the source.

    Args:
        vary: `NAME=ARGUMENT` with `{seed}` in the argument, or `last-bit`; None where nothing varies.
        command: the script and its own arguments.
        seed_arg: of the option for a single seed, which does not go with these.
        seed_env: likewise.

    Returns:
        The names in one text with commas, `last-bit` among them, or None where nothing varies; and the arguments.

    Raises:
        LastbitError: an argument without `{seed}`, two sources of one name or with one argument, or `{seed}` in the
            command.
    """
    if vary is None:
        return None, {}
    if (other := "--seed-arg" if seed_arg is not None else "--seed-env" if seed_env is not None else "") != "":
        raise LastbitError(
            f"{other} and --vary: each source takes its seed by an argument of its own; leave {other} out"
        )
    if any(_SEED in word for word in command):
        raise LastbitError(f"the command has {_SEED} in it, and --vary appends the seeds of each source: leave it out")
    arguments: dict[str, str] = {}
    names = []
    for text in vary:
        if text.strip() == LAST_BIT:
            names.append(LAST_BIT)
        else:
            name, argument = _seed_arg(text)
            if name in arguments:
                raise LastbitError(f"--vary {text!r}: {name} is given twice")
            if same := [known for known, other in arguments.items() if other.split() == argument.split()]:
                raise LastbitError(
                    f"--vary {text!r}: {same[0]} has the same argument, so neither is told from the other"
                )
            arguments[name] = argument
            names.append(name)
    return ",".join(names), arguments


def _seed_arg(text: str) -> tuple[str, str]:
    name, is_given, argument = (part.strip() for part in text.partition("="))
    example = f'such as "init=--init-seed {_SEED}"'
    if not is_given:
        raise LastbitError(f"--vary {text!r}: give a source with the argument that takes its seed, {example}")
    if not re.fullmatch(r"[A-Za-z][\w-]*", name) or name == LAST_BIT:
        raise LastbitError(f"--vary {text!r}: {name!r} cannot name a source: give a word, {example}")
    if _SEED not in argument:
        raise LastbitError(f"--vary {text!r} has no {_SEED} in it, so every run would have the same {name}: {example}")
    try:
        shlex.split(argument)
    except ValueError as error:
        raise LastbitError(f"--vary {text!r} cannot be split into arguments ({error}): {example}") from None
    return name, argument


def checked_seed_env(seed_env: str | None) -> str | None:
    """The environment variable of the seed.

    Raises:
        LastbitError: it cannot be one, or lastbit sets it.
    """
    from lastbit.script.environment import FIXED_VARIABLES

    if seed_env is not None and (not seed_env.isidentifier() or not seed_env.isascii() or seed_env in FIXED_VARIABLES):
        fixed = ", and not one that lastbit sets itself" if seed_env in FIXED_VARIABLES else ""
        raise LastbitError(f"--seed-env {seed_env!r}: give the name of an environment variable, such as SEED{fixed}")
    return seed_env


def checked_seed_arg(seed_arg: str | None, seeds: Sequence[int], seed_env: str | None) -> str | None:
    """The argument of the seed.

    Args:
        seed_arg: as given.
        seeds: that are to be handed over.
        seed_env: an environment variable that takes them.

    Raises:
        LastbitError: several seeds and nothing that takes them, or an argument without `{seed}`.
    """
    if seed_arg is None and seed_env is None and len(seeds) > 1:
        raise LastbitError(
            f'{len(seeds)} seeds were given and no --seed-arg to hand them to the script, such as "--seed {{seed}}";'
            " a script that reads its seed from its environment takes it by --seed-env, such as --seed-env SEED"
        )
    if seed_arg is not None:
        if "{seed}" not in seed_arg:
            raise LastbitError(f"--seed-arg {seed_arg!r} has no {{seed}} in it, so every run would have the same seed")
        try:
            shlex.split(seed_arg.format(seed=1))
        except (KeyError, IndexError, ValueError) as error:
            raise LastbitError(
                f'--seed-arg {seed_arg!r} cannot be filled in ({error!r}): write "--seed {{seed}}"'
            ) from None
    return seed_arg
