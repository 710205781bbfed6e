"""The code of a person's own that a script ran: the files of the modules it imported from beside it."""

import sys
from pathlib import Path

from lastbit.storage.files import sha256


def imported_sources(directory: Path) -> dict[str, str]:
    """Hash of each Python file under `directory` that this process has imported, by its absolute path.

    Installed packages are left out, though they may lie below: the fingerprint names the versions that matter.
    """
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    own = {
        path
        for file in files
        if isinstance(file, str) and (path := Path(file)).suffix == ".py" and _is_own(path, directory)
    }
    return {str(path): sha256(path.read_bytes()) for path in sorted(own) if path.is_file()}


def changed_sources(sources: dict[str, str]) -> list[str]:
    """Those of the files that are no longer what their hash says."""
    return [file for file, known in sources.items() if not _is_still(Path(file), known)]


def _is_own(path: Path, directory: Path) -> bool:
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return path.suffix == ".py" and path.is_relative_to(directory) and not installed


def _is_still(path: Path, known: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == known
