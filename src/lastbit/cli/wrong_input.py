"""A user's mistake, said in one line, with exit status 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lastbit.limits import OTHER_SHAPE


class WrongInputError(typer.TyperException):
    """Ends the command with one line on standard error and exit status 2."""

    exit_code = 2


class FailedError(typer.TyperException):
    """Ends the command with a message on standard error and exit status 1: the input was right, the outcome is not."""

    exit_code = 1


class StoppedCommandError(typer.TyperException):
    """Ends the command with a message on standard error and the exit status that shells give what Ctrl-C ended."""

    exit_code = 130


@contextmanager
def stored_input(place: object) -> Iterator[None]:
    """Turn what stored content of another shape than ours makes the block raise into a clear end of the command.

    Args:
        place: the file or directory that is read.

    Raises:
        WrongInputError: in place of what the content raised.
    """
    try:
        yield
    except OTHER_SHAPE as error:
        raise WrongInputError(f"{place} does not hold what it should ({error!r:.200}): it was altered") from error


@contextmanager
def wrong_input() -> Iterator[None]:
    """Turn what the block, where input is checked, says of values and paths into a clear end of the command.

    Raises:
        WrongInputError: in place of the ValueError, the ArithmeticError, or the OSError that names a path.
    """
    try:
        yield
    except ValueError as error:
        raise WrongInputError(str(error)) from error
    except ArithmeticError as error:
        raise WrongInputError(f"these numbers cannot be computed with ({error}): choose others") from error
    except OSError as error:
        if error.filename is None:  # not about a path
            raise
        raise WrongInputError(f"{error.filename}: {error.strerror}") from error
