"""Packages: which version is installed, and how to install the optional ones that a feature needs."""

import json
from importlib.metadata import PackageNotFoundError, distribution, version
from urllib.parse import urlsplit
from urllib.request import url2pathname


def how_to_install(extra: str) -> str:
    """The command that installs an extra: from the checkout that lastbit was installed from, or else by its name.

    Args:
        extra: its name in `pyproject.toml`, such as `explore`.
    """
    source = _checkout()
    return f"pip install 'lastbit[{extra}]'" if source is None else f"pip install -e '{source}[{extra}]'"


def missing(error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """The error to raise instead of an import's own: it says what to install."""
    return ModuleNotFoundError(f"{error.name} is not installed; {how_to_install(extra)}", name=error.name)


def _checkout() -> str | None:
    """The directory of an editable installation; None for any other."""
    try:
        # PEP 610: pip writes there what it was given.
        origin = json.loads(distribution("lastbit").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    url = str(origin.get("url", ""))
    editable = origin.get("dir_info", {}).get("editable", False) and url.startswith("file:")
    return url2pathname(urlsplit(url).path) if editable else None


def installed_version(package: str) -> str | None:
    """A package's version in this process; None where it is not installed, as lastbit used from its sources."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
