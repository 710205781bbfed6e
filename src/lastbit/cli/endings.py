"""Ways in which a command ends that are neither success, nor a person's error, nor a fault of lastbit's own."""

import typer


class FailedError(typer.TyperException):
    """Ends the command with a message on standard error and exit status 1: the input was right, the outcome is not."""

    exit_code = 1


class StoppedCommandError(typer.TyperException):
    """Ends the command with a message on standard error and the exit status that shells give what Ctrl-C ended."""

    exit_code = 130
