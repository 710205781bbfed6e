"""Settings in a page: flat, in brief, and where those of several studies differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.numbers import MISSING, plain
from lastbit.report.table import Table
from lastbit.runs.raw import flat_items

_FACTS = {
    "model.name": "network",
    "model.activation": "activation",
    "data.name": "data",
    "epochs": "epochs",
    "batch_size": "batch",
    "optimizer.name": "optimizer",
    "optimizer.lr": "learning rate",
    "dtype": "number format",
}
_NAMES = frozenset({"name", "description"})  # they say nothing about the training


def flat_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each setting, in the dotted names of `--set`."""
    return [(name, plain(value)) for name, value in flat_items(settings)]


def settings_table(rows: Sequence[tuple[str, str]], columns: Sequence[str] = ("setting", "value")) -> Table:
    """Names with their values, as `flat_settings` gives them."""
    return Table("settings", "", columns, rows, align="ll")


def facts(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that say most about a training, as far as it has them."""
    flat = dict(flat_settings(settings))
    return [(label, flat[name]) for name, label in _FACTS.items() if name in flat]


def differences(named: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """The settings in which trainings differ, with the value of each; without rows where they do not.

    Args:
        named: names and settings of the trainings.
    """
    flat = [dict(flat_settings(settings)) for _, settings in named]
    names = dict.fromkeys(name for settings in flat for name in settings if name not in _NAMES)
    values = {name: [settings.get(name, MISSING) for settings in flat] for name in names}
    rows = [[name, *row] for name, row in values.items() if len(set(row)) > 1]
    columns = ["setting", *(name for name, _ in named)]
    return Table("differences", "", columns, rows, align="l" * len(columns))
