"""What a page needs of stored JSON, checked before anything is drawn of it.

Stored results may come from anywhere. What is checked here is refused in a line that names the place; whatever drawing
raises after that is a fault of lastbit's own.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lastbit.errors import LastbitError
from lastbit.storage.files import to_json

_LARGEST = 1e300  # of which a square root, a logarithm and a few sums can still be taken
Whole = Annotated[int, Field(ge=-(2**64), le=2**64)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Decimals = Annotated[int, Field(ge=-300, le=300)]
Real = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=_LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=_LARGEST, allow_inf_nan=False)]
Interval = Annotated[list[Real], Field(min_length=2, max_length=2)]  # its ends


class ShapeError(LastbitError):
    """JSON that is not what a page needs; the message says what it is not, and names the first place."""


class Shape(BaseModel):
    """Fields that a page needs, and their types; others may be there."""

    model_config = ConfigDict(strict=True, extra="ignore")


def checked(content: object, shape: type[Shape], complaint: str) -> dict[str, Any]:
    """Content as it is once stored, plain JSON with None for what is not finite, if it has the shape.

    Args:
        content: as computed, or as read.
        shape: what is needed of it.
        complaint: how the message begins where it has another, such as `these are not the results of a study`.

    Raises:
        ShapeError: it has another shape; the message names the first place.
    """
    if not isinstance(content, Mapping):
        raise ShapeError(f"{complaint}: it is {content!r:.50}")
    stored: dict[str, Any] = json.loads(to_json(dict(content)))
    try:
        shape.model_validate(stored)
    except ValidationError as error:
        lack = "they lack" if complaint.startswith("these") else "it lacks"
        raise ShapeError(f"{complaint}: {_first(error, lack)}") from None
    return stored


def _first(error: ValidationError, lack: str) -> str:
    lacking = [problem for problem in error.errors(include_url=False) if problem["type"] == "missing"]
    if lacking:
        return f"{lack} {', '.join(sorted({_place(problem['loc']) for problem in lacking}))}"
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # of several parts at once
        return f"{_place(problem['loc'])}: {message}" if problem["loc"] else message
    should = re.sub(r"^\w+ should", "it should", message).replace(" after validation", "")
    return f"{_place(problem['loc'])} is {problem['input']!r:.50}, and {should}"


def _place(location: tuple[int | str, ...]) -> str:
    """A place as people write it: `trials[3].seed`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part:.50}" for part in location).lstrip(".")
