"""Noises on the command line: which kind, and how much and how many of it."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from lastbit.cli.options import parse_numbers
from lastbit.errors import LastbitError, did_you_mean
from lastbit.noise.noise import KINDS, Noise, Option

USUAL = "scale"


@dataclass(frozen=True)
class Noises:
    """The noises that a command line asks for."""

    kind: str
    options: Mapping[str, Any]  # as given, by the names of the kinds' options; None where not given

    @property
    def are_listed(self) -> bool:
        """Whether the command line lists the noises (`--k`, `--noise-seeds`), rather than leaving them at the usual."""
        known = _options()
        return any(known[name].kind is list for name, value in self.options.items() if value is not None)

    def chosen(self) -> list[Noise]:
        """The noises, the one to compare the others with first.

        Raises:
            LastbitError: an option that does not belong to the kind, or a value that is not allowed.
        """
        name, settings = _taken_apart(self.kind)
        noise, known = KINDS.get(name), _options()
        if noise is None:
            raise LastbitError(f"--noise {name}: there is no such noise{_guess(name)}")
        given: dict[str, Any] = {option: value for option, value in self.options.items() if value is not None}
        for option in given:
            if known[option] not in noise.options:
                owners = " or ".join(
                    kind for kind, other in sorted(KINDS.here().items()) if known[option] in other.options
                )
                flag = f"{known[option].flag} {given[option]}"
                raise LastbitError(f"{flag} is for --noise {owners}, and the noise here is {name}")
            if known[option].kind is list:
                given[option] = parse_numbers(given[option], known[option].flag)
        try:
            return list(noise.choose(**settings | given))
        except TypeError as error:
            raise LastbitError(f"--noise {self.kind}: {error}") from None


def with_noises(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `noises` is filled from `--noise` and the options of all noises."""
    known = _options()

    @functools.wraps(command)
    def parsed(**arguments: Any) -> None:
        """Gather the options of noises; pass on all others."""
        kind, options = arguments.pop("noise"), {name: arguments.pop(name) for name in known}
        command(**arguments, noises=Noises(kind, options))

    added = [
        _parameter("noise", USUAL, _noise_option()),
        *(_parameter(name, None, _annotation(known[name])) for name in known),
    ]
    parameters = []
    for own in inspect.signature(command, eval_str=True).parameters.values():
        parameters += added if own.name == "noises" else [own.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return parsed


def _taken_apart(text: str) -> tuple[str, dict[str, Any]]:
    """`late-ulp:after=3,share=0.5`, a kind and settings that have no option."""
    kind, *rest = text.split(":", 1)
    settings = {}
    for part in rest[0].split(",") if rest else []:
        name, equals, value = (word.strip() for word in part.partition("="))
        if not name.isidentifier() or not equals:
            raise LastbitError(f"--noise {text}: write KIND:NAME=VALUE,NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return kind, settings


def _names() -> list[str]:
    """The kinds that are for the command line; those of other packages, which are not imported for this, included."""
    here = KINDS.here()
    return [name for name in KINDS.names() if name not in here or here[name].help]


def _options() -> dict[str, Option]:
    """The options of all noises by name."""
    return {option.name: option for kind in KINDS.here().values() for option in kind.options}


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _annotation(option: Option) -> Any:
    is_list = option.kind is list
    shown = typer.Option(option.flag, metavar="LIST" if is_list else option.name.upper(), help=option.help)
    return Annotated[(str if is_list else option.kind) | None, shown]


def _noise_option() -> Any:
    kinds = [f"`{name}`: {kind.help}." for name, kind in sorted(KINDS.here().items()) if kind.help]
    return Annotated[
        str,
        typer.Option(
            "--noise",
            metavar="KIND",
            callback=_checked,
            autocompletion=lambda incomplete: [name for name in _names() if name.startswith(incomplete)],
            help=" ".join(kinds),
        ),
    ]


def _checked(kind: str) -> str:
    if kind.partition(":")[0] not in _names():
        raise typer.BadParameter(f"{kind!r} is no noise{_guess(kind.partition(':')[0])}.")
    return kind


def _guess(name: str) -> str:
    """The noises of nearly this name, as a question, and all that there are."""
    question = did_you_mean(name, _names(), before=", ", cutoff=0.5)
    return f"{question} There are {', '.join(_names())}" if question else f"; there are {', '.join(_names())}"
