"""The reference's pages: Python names through mkdocstrings, commands from what `--help` says of them."""

from __future__ import annotations

from pathlib import Path

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app

_ROOMS = {
    "noise": "disturb an optimizer's last bit",
    "optimizers": "each optimizer's perturbed step, edge of stability and preconditioner",
    "divergence": "compare two runs",
    "pde": "von Neumann analysis, bounds and simulation",
    "curvature": "sharpness and its edges",
    "remedies": "lower churn and keep training stable",
    "study": "trials, their storage and their statistics",
    "study.comparison": "what a difference is worth",
    "schedules": "when to measure",
    "script.log": "what a script may tell lastbit",
    "integrations": "sinks for the sharpness monitor",
    "integrations.lightning": "a callback for Lightning",
    "integrations.transformers": "a callback for Hugging Face's trainer",
}


def write_reference(directory: Path) -> None:
    """Write a page for each room with public names, one for the commands, and an index."""
    directory.mkdir(parents=True)
    for room in _ROOMS:
        page = f"# lastbit.{room}\n\n::: lastbit.{room}\n    options:\n      show_root_toc_entry: false\n"
        (directory / f"{room}.md").write_text(page)
    listed = "".join(f"- [lastbit.{room}]({room}.md): {what}\n" for room, what in _ROOMS.items())
    (directory / "index.md").write_text(
        f"# Reference\n\n`import lastbit as lb` has the most used names of these at hand.\n\n{listed}\n"
        "What is typed into a terminal is under [commands](commands.md).\n"
    )
    (directory / "commands.md").write_text(
        "# Commands\n\n`lastbit --install-completion` lets Tab complete them in bash, zsh, fish and PowerShell.\n\n"
        + "".join(_described(get_command(app), "lastbit"))
    )


def _described(command: object, name: str) -> list[str]:
    assert isinstance(command, TyperCommand | TyperGroup)
    if isinstance(command, TyperGroup):
        return [part for sub, each in command.commands.items() for part in _described(each, f"{name} {sub}")]
    rows = [record for each in command.params if (record := _record(each)) is not None]
    table = "".join(f"| `{option}` | {said} |\n" for option, said in rows)
    return [f"## {name}\n\n{(command.help or '').strip()}\n\n| | |\n| --- | --- |\n{table}\n"]


def _record(parameter: object) -> tuple[str, str] | None:
    declared = getattr(parameter, "opts", [])
    if not declared or getattr(parameter, "hidden", False) or "--help" in declared:
        return None
    is_option = declared[0].startswith("-")
    shown = ", ".join(declared) if is_option else (getattr(parameter, "metavar", None) or declared[0].upper())
    said = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    return shown, said
