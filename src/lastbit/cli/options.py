"""Options that commands share, how lists of numbers are read, and what Tab completes.

What completes a word is imported when Tab is pressed. An offered name may still be wrong; the command says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from lastbit.errors import LastbitError
from lastbit.training.catalogue import FULL, load_recipe, recipe_names, scale_names

LARGEST = 2**63 - 1  # that 64 bits hold, as torch counts and seeds
LARGEST_SEED = 2**32 - 1  # of numpy's older generator, which the paper's kernels are drawn from
MOST_WORKERS = 10_000
MOST_PIXELS = 2**16  # of a side
_MOST_DIGITS = 18  # all of these fit the 64 bits of a seed
_MOST_NUMBERS = 100_000


class ScriptCommand(TyperCommand):
    """A command whose options end at `--`, where the script begins: no option takes that for its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the command's name.

        Raises:
            LastbitError: an option that takes a value stands right before `--`.
        """
        if own := self.help_of(args):
            typer.echo(own)
            raise typer.Exit
        end = args.index("--") if "--" in args else 0
        valued = {name for option in self.params if not getattr(option, "is_flag", True) for name in option.opts}
        if end and args[end - 1] in valued:
            raise LastbitError(f"{args[end - 1]} has no value: give one before `--`, where the script begins")
        return super().parse_args(ctx, args)

    def help_of(self, args: Sequence[str]) -> str | None:
        """The help of what the first word asks for in place of a script; None where nothing of its own is asked for."""
        return None


def parse_numbers(text: str, option: str) -> list[int]:
    """Parse comma-separated whole numbers and ranges `FIRST-LAST`, in the order given.

    Args:
        text: such as `1,3,7-9`.
        option: the option's name, for the message.

    Raises:
        LastbitError: the text is something else, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise LastbitError(f"{option} {text!r}: write whole numbers and ranges, such as 1,3,5 or 1-6")
        if max(len(first), len(last)) > _MOST_DIGITS:
            raise LastbitError(
                f"{option}: a number of {max(len(first), len(last))} digits; at most {_MOST_DIGITS} are read"
            )
        if dash and int(last) < int(first):
            raise LastbitError(f"{option} {text!r}: the range {part.strip()} runs backwards, write {last}-{first}")
        if len(numbers) + int(last or first) - int(first) >= _MOST_NUMBERS:
            raise LastbitError(f"{option} {text:.100}: at most {_MOST_NUMBERS:,} numbers are read")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def recipes(incomplete: str) -> list[str]:
    """Built-in recipes, and the TOML files and folders whose path begins as the word does."""
    folder, _, begun = incomplete.rpartition("/")
    parent = Path(f"{folder}/") if incomplete.startswith("/") else Path(folder)
    names = [name for name in recipe_names() if name.startswith(incomplete)]
    try:
        there = sorted(path for path in parent.iterdir() if path.name.startswith(begun))
    except OSError:  # no folder, or a closed one
        return names
    prefix = incomplete[: len(incomplete) - len(begun)]
    shown = [path for path in there if begun.startswith(".") or not path.name.startswith(".")]
    files = [f"{prefix}{path.name}" for path in shown if path.suffix == ".toml" and path.is_file()]
    return names + files + [f"{prefix}{path.name}/" for path in shown if path.is_dir()]


def scales(context: typer.Context, incomplete: str) -> list[str]:
    """The scales of the given recipe; of all recipes where none is given yet."""
    given = _recipe(context)
    try:
        names = set(scale_names(given) if given else [scale for name in recipe_names() for scale in scale_names(name)])
    except LastbitError:  # no such recipe
        names = set()
    return _begun([FULL, *sorted(names)], incomplete)


def demo_scales(incomplete: str) -> list[str]:
    """The scales of the demo's recipe."""
    return _begun([FULL, *scale_names("demo")], incomplete)


def changes(context: typer.Context, incomplete: str) -> list[str]:
    """Fields of a recipe, with `=`; after the `=`, the words that the field takes, or else the recipe's own value."""
    from lastbit.training.recipe import Recipe

    field, equals, _ = incomplete.partition("=")
    if not equals:
        return _begun([f"{name}=" for name, _ in _fields(Recipe)], incomplete)
    words = [str(word) for name, kind in _fields(Recipe) if name == field for word in _words(kind)]
    if field == "data.name":
        words = data_sets("")
    return _begun([f"{field}={word}" for word in words or _own(context, field)], incomplete)


def data_sets(incomplete: str) -> list[str]:
    """Names of the data sets."""
    from lastbit.training.data.catalogue import ENTRIES

    return _begun(list(ENTRIES), incomplete)


def paper_items(incomplete: str) -> list[str]:
    """Items of the paper, and `all`."""
    from lastbit.paper.names import ALL, item_names

    return _begun([*item_names(), ALL], incomplete)


def paper_scales(incomplete: str) -> list[str]:
    """Scales of the paper's items."""
    from lastbit.paper.names import SCALES

    return _begun(list(SCALES), incomplete)


def devices(incomplete: str) -> list[str]:
    """Devices of this machine."""
    # As the driver lists them: torch would take a second to say.
    gpus = [f"cuda:{number}" for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
    return _begun(["auto", "cpu", *(["cuda"] if gpus else []), *gpus], incomplete)


def _begun(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _fields(model: type[Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted names of a recipe's fields, with their types."""
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{above}{name}.")
        else:
            yield f"{above}{name}", field.annotation


def _words(kind: Any) -> list[Any]:
    """The values that a type lists: the words of a literal; true and false."""
    if kind is bool:
        return ["true", "false"]
    inner = [word for part in get_args(kind) for word in (_words(part) if not isinstance(part, str) else [part])]
    return list(dict.fromkeys(inner))


def _recipe(context: typer.Context) -> str | None:
    """The recipe that the line names. Words in front of an unfinished option are not parsed yet."""
    given = context.params.get("recipe") or context.params.get("name")
    known = recipe_names()
    return given or next((word for word in context.args if word in known or word.endswith(".toml")), None)


def _own(context: typer.Context, field: str) -> list[str]:
    """The value of a field in the given recipe."""
    given = _recipe(context)
    try:
        value: Any = load_recipe(str(given)).model_dump(mode="json") if given else {}
    except LastbitError:
        return []
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return [] if value is None or isinstance(value, dict | list) else [str(value)]


RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", autocompletion=recipes, help="A built-in recipe, or a .toml file.")
]
ScaleOption = Annotated[
    str, typer.Option(autocompletion=scales, help="`paper`, or a reduced scale of the recipe: laptop, smoke.")
]
ChangesOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", autocompletion=changes, help="Change a field.")
]
RootOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the fetched data sets.")]
SEEDED = "batch order, augmentation and dropout"  # what a seed of a recipe decides
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=LARGEST, help=f"Of {SEEDED}.")]
DeviceOption = Annotated[str, typer.Option(autocompletion=devices, help="`cpu`, `cuda`, `cuda:1`, ..., or `auto`.")]
