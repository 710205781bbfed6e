"""The one clear line for a tool that is not installed."""


def missing(error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """The error to raise instead of an import's own: it says what to install."""
    return ModuleNotFoundError(f"{error.name} is not installed; pip install 'lastbit[{extra}]'", name=error.name)
