"""Built-in and user recipes: TOML files, possibly based on another one, with reduced scales and changes on top.

A recipe file holds the fields of `Recipe`, and beside them

- `based_on = "NAME"`: start from that built-in recipe; this file's fields replace its fields one by one;
- `[scale.laptop]`, `[scale.smoke]`: fields that a reduced scale replaces; what it leaves out is found by comparison.

Names are read without pydantic and torch, so that the command line completes them at once.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lastbit.errors import LastbitError, did_you_mean, the_nearest
from lastbit.storage.limits import MOST_RECIPE, check_depth, read_limited

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from lastbit.training.recipe import Recipe

FULL = "paper"
_FIELD = re.compile(r"\w+(\.\w+)*")
_BUILT_IN = resources.files("lastbit.training") / "recipes"


class RecipeError(LastbitError):
    """A recipe, or a change to one, that cannot be used."""


def recipe_names() -> list[str]:
    """Names of the built-in recipes, sorted."""
    return sorted(file.name.removesuffix(".toml") for file in _BUILT_IN.iterdir() if file.name.endswith(".toml"))


def load_recipe(source: str, *, scale: str = FULL, changes: tuple[str, ...] = ()) -> Recipe:
    """Read a built-in recipe by name or a user's by the path of its TOML file.

    Args:
        source: a name of `recipe_names()`, or a path ending in `.toml`.
        scale: `paper` for the recipe as it stands, or one of its reduced scales.
        changes: such as `optimizer.lr=0.05`, applied last; the value is TOML, or a bare word.

    Raises:
        RecipeError: an unknown name, scale or field, or a value that is not allowed; one line says which.
    """
    from pydantic import ValidationError

    from lastbit.training.recipe import Recipe

    def validated(fields: Mapping[str, Any]) -> Recipe:
        """The recipe of these fields."""
        try:
            # Through JSON, where strict still lets lists become tuples and integers floats, but no string a number.
            return Recipe.model_validate_json(json.dumps(fields, default=str), strict=True)
        except ValidationError as error:
            raise _explain(error, Recipe, source) from None

    fields = full = _read(source)
    scales = fields.pop("scale", {})
    if scale != FULL:
        fields = _merge(full, _choose_scale(scales, scale, source)) | {"scale": scale}
    for change in changes:
        fields = _merge(fields, _parse_change(change))
    recipe = validated(fields)
    if scale == FULL:
        return recipe
    from lastbit.training.cuts import cuts  # only here: it imports numpy, which a list of recipes does without

    return recipe.model_copy(update={"cuts": cuts(recipe, validated(full))})


def scale_names(source: str) -> list[str]:
    """The reduced scales a recipe has, besides `paper`."""
    return sorted(_read(source).get("scale", {}))


def _read(source: str) -> dict[str, Any]:
    fields = _parse(_text(source), source)
    fields.setdefault("name", Path(source).name.removesuffix(".toml"))
    _check_scales(fields.get("scale", {}), source)
    if "based_on" not in fields:
        return fields
    base = str(fields.pop("based_on"))
    _check_name(base)  # a built-in recipe only, so that no file can be based on itself
    return _merge(_read(base), fields)


def _text(source: str) -> str:
    if source.endswith(".toml"):
        return _user_text(Path(source))
    _check_name(source)
    return (_BUILT_IN / f"{source}.toml").read_text(encoding="utf-8")


def _check_name(name: str) -> None:
    names = recipe_names()
    if name not in names:
        close = get_close_matches(name, names, n=3)
        which = the_nearest(close) if close else f"there are {', '.join(names)}"
        raise RecipeError(f"there is no recipe {name!r}: {which} (or the path of a .toml file)")


def _check_scales(scales: object, source: str) -> None:
    if not isinstance(scales, dict) or not all(isinstance(fields, dict) for fields in scales.values()):
        raise RecipeError(f"{source}: scale = {scales!r}: write tables, such as [scale.laptop]")


def _user_text(path: Path) -> str:
    try:
        return read_limited(path, MOST_RECIPE).decode("utf-8")
    except (LastbitError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix(f"{path} cannot be read: ")
        raise RecipeError(f"cannot read the recipe {path}: {reason}") from None


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        fields = tomllib.loads(text)
        check_depth(fields, source)
    # Besides TOML errors: numbers of more digits, and nests of more levels, than Python reads.
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source} is not valid TOML: {error}") from None
    return fields


def _choose_scale(scales: dict[str, Any], scale: str, source: str) -> dict[str, Any]:
    if scale not in scales:
        raise RecipeError(f"{source} has no scale {scale!r}: allowed are {', '.join([FULL, *sorted(scales)])}")
    chosen: dict[str, Any] = scales[scale]
    return chosen


def _parse_change(change: str) -> dict[str, Any]:
    field, equals, value = (part.strip() for part in change.partition("="))
    if not equals or not _FIELD.fullmatch(field) or not value or not value.isprintable():
        raise RecipeError(f"--set {change!r}: write FIELD=VALUE, such as optimizer.lr=0.05")
    try:
        return tomllib.loads(f"{field} = {value}")
    except tomllib.TOMLDecodeError:
        return _bare_word(field, value)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"--set {field}: {error}") from None


def _bare_word(field: str, value: str) -> dict[str, Any]:
    nested: Any = value
    for part in reversed(field.split(".")):
        nested = {part: nested}
    return dict(nested)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _explain(error: ValidationError, recipe: type[BaseModel], where: str) -> RecipeError:
    """One line on what pydantic refused: each field, its value and what is allowed."""
    return RecipeError(f"{where}: " + "; ".join(_sentence(detail, recipe) for detail in error.errors()))


def _sentence(detail: ErrorDetails, recipe: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "recipe"
    field = field if field.isprintable() else repr(field)
    if detail["type"] == "extra_forbidden":
        return f"there is no field {field}{_nearest(detail['loc'], recipe)}"
    if detail["type"] == "missing":
        return f"{field} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{field}: {message}"
    return f"{field} = {detail['input']!r}: {message[:1].lower()}{message[1:]}"


def _nearest(location: tuple[int | str, ...], recipe: type[BaseModel]) -> str:
    names = list(_fields_at(location[:-1], recipe))
    return did_you_mean(location[-1], names, before=", ") or f", allowed are {', '.join(names)}"


def _fields_at(location: tuple[int | str, ...], recipe: type[BaseModel]) -> Mapping[str, Any]:
    fields = recipe.model_fields
    for part in location:
        annotation = fields[str(part)].annotation
        inner = next((kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "model_fields")), None)
        if inner is None:
            return {}
        fields = inner.model_fields
    return fields
