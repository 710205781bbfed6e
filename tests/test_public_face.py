import subprocess
import sys
from importlib.metadata import version

import pytest

import lastbit as lb


def test_every_public_name_is_there():
    assert all(getattr(lb, name) is not None for name in lb.__all__)
    assert dir(lb) == sorted(lb.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sturdy'"):
        _ = lb.Sturdy


def test_the_version_is_that_of_the_package():
    assert lb.__version__ == version("lastbit")


def test_importing_lastbit_imports_none_of_the_libraries():
    program = "import sys, lastbit; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "lastbit" in loaded
    assert not {"torch", "numpy", "altair", "polars", "pydantic", "scipy", "typer", "rich", "PIL"} & set(loaded)
