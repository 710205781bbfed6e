"""Remedies as people write them: in words (`smooth=silu:width=0.5+average=0.99`), and as plain data in a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from lastbit.errors import LastbitError, did_you_mean
from lastbit.remedies.remedy import REMEDIES, Remedy

Treatment = tuple[Remedy, ...]  # put on one training together, by name


def parse_treatments(text: str) -> list[Treatment]:
    """Read a list of treatments, each of one remedy or of several together: `smooth=silu,average=0.99+clip=1`.

    Args:
        text: separated by commas; `+` joins remedies of one treatment, `:` their further options.

    Raises:
        LastbitError: as `parse_treatment` does, or a treatment is there twice.
    """
    treatments = [parse_treatment(part) for part in text.split(",")]
    labels = [label_of(treatment) for treatment in treatments]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise LastbitError(f"{twice[0]} is given twice: each treatment counts once")
    return treatments


def parse_treatment(text: str) -> Treatment:
    """Read the remedies of one training, joined by `+`.

    Raises:
        LastbitError: an unknown remedy or option, a value that is not allowed, or remedies that do not go together.
    """
    return together(_parse(part.strip()) for part in text.split("+"))


def together(remedies: Iterable[Remedy]) -> Treatment:
    """Remedies that are put on one training, by name.

    Raises:
        LastbitError: one is there twice, or excludes another.
    """
    chosen = sorted(remedies, key=lambda remedy: remedy.name)
    names = [remedy.name for remedy in chosen]
    for remedy in chosen:
        if names.count(remedy.name) > 1:
            raise LastbitError(f"the remedy {remedy.name} is given twice for one training: give it once")
        if clash := sorted(remedy.excludes & {*names}):
            raise LastbitError(f"the remedies {remedy.name} and {clash[0]} exclude each other: give one of them")
    return tuple(chosen)


def script_treatments(texts: Iterable[str]) -> list[Treatment]:
    """Read treatments of a script, which remedies are put on from outside.

    Args:
        texts: each as `parse_treatments` takes them.

    Raises:
        LastbitError: as `parse_treatments` does, or a remedy cannot be put on from outside.
    """
    treatments = parse_treatments(text) if (text := ",".join(texts)) else []
    for remedy in (remedy for treatment in treatments for remedy in treatment):
        if reason := remedy.unfit_for_scripts():
            raise LastbitError(f"--remedy {remedy.label} cannot be put on a script from outside: {reason}")
    return treatments


def hidden_by(treatment: Treatment, kinds: Iterable[str]) -> str:
    """Why a treatment cannot be compared with these noises, in a sentence; empty where it can.

    Args:
        treatment: some remedies.
        kinds: of the noises, as `lastbit.noise` names them.
    """
    for remedy in treatment:
        if hidden := sorted(remedy.hides & {*kinds}):
            return (
                f"{remedy.label} rounds away what the noise {hidden[0]} does to an update, so that its churn would say "
                "nothing of the training: give --noise ulp or --noise rounding"
            )
    return ""


def label_of(treatment: Treatment) -> str:
    """As the command line writes it."""
    return "+".join(remedy.label for remedy in treatment)


def remedies_from_json(data: Mapping[str, Any]) -> Treatment:
    """Read the `[remedy]` table of a recipe, or what `remedies_as_json` gave.

    Args:
        data: by the remedy's name its main option, `true` for its defaults, or a table of options.

    Raises:
        LastbitError: as `parse_treatment` does.
    """
    return together(_from_json(name, given) for name, given in data.items())


def remedies_as_json(treatment: Treatment) -> dict[str, Any]:
    """Plain data that `remedies_from_json` reads back; of options the main ones and those that are no defaults."""
    return {remedy.name: remedy.options() or True for remedy in treatment}


def _parse(text: str) -> Remedy:
    head, *further = text.split(":")
    name, equals, main = (word.strip() for word in head.partition("="))
    kind = _kind(name)
    options: dict[str, Any] = {}
    if equals:
        if not kind.main:
            raise LastbitError(f"{text}: the remedy {name} takes no value after its name")
        options[kind.main] = _value(main)
    for part in further:
        option, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise LastbitError(f"{text}: write further options as NAME=VALUE after a colon, not {part!r}")
        options[option] = _value(value)
    return _made(kind, options)


def _from_json(name: str, given: object) -> Remedy:
    kind = _kind(name)
    if given is True:
        return kind()
    if isinstance(given, Mapping):
        return _made(kind, given)
    if given is False or not kind.main:
        raise LastbitError(f"the remedy {name} = {given!r}: write true, or a table of its options")
    return _made(kind, {kind.main: given})


def _kind(name: str) -> type[Remedy]:
    kind = REMEDIES.get(name)
    if kind is None:
        names = REMEDIES.names()
        which = did_you_mean(name, names, before=", ", cutoff=0.5)
        known = f"{which} There are" if which else "; there are"
        raise LastbitError(f"there is no remedy {name!r}{known} {', '.join(names)}")
    return kind


def _made(kind: type[Remedy], options: Mapping[str, Any]) -> Remedy:
    known = [field.name for field in fields(kind)]
    for option in options:
        if option not in known:
            which = did_you_mean(option, known, before=", ") or f"; it has {', '.join(known) or 'none'}"
            raise LastbitError(f"the remedy {kind.name} has no option {option!r}{which}")
    return kind(**options)


def _value(text: str) -> Any:
    """A number, true or false as such, and any other word as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
