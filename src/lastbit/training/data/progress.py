"""How a fetch tells of its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is (None where unknown), in bytes."""


def silent(what: str, done: int, total: int | None) -> None:
    """Show nothing."""
