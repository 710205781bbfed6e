"""A wrong recipe, said in one line: the field, its value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails


class RecipeError(LastbitError):
    """A recipe, or a change to one, that cannot be used."""


def explain(error: ValidationError, recipe: type[BaseModel], where: str) -> RecipeError:
    """Turn pydantic's report into one line that names each field, its value and what is allowed.

    Args:
        error: as pydantic raised it.
        recipe: the class that was being validated, for the names of its fields.
        where: the recipe's name or file, which opens the line.
    """
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
    close = get_close_matches(str(location[-1]), names, n=3)
    return f", did you mean {' or '.join(close)}?" if close else f", allowed are {', '.join(names)}"


def _fields_at(location: tuple[int | str, ...], recipe: type[BaseModel]) -> Mapping[str, Any]:
    fields = recipe.model_fields
    for part in location:
        annotation = fields[str(part)].annotation
        inner = next((kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "model_fields")), None)
        if inner is None:
            return {}
        fields = inner.model_fields
    return fields
