"""Each item's result at the smoke scale, made once for all test processes."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock

from lastbit.paper.catalogue import find_item
from lastbit.paper.item import Work
from lastbit.paper.results import PaperResults
from lastbit.paper.suite import make


@pytest.fixture(scope="session")
def smoke_results(tmp_path_factory, request) -> PaperResults:
    """The directory of results at the smoke scale that the processes of pytest-xdist share, empty at the start."""
    here = Path(tmp_path_factory.getbasetemp())
    # Each process has a directory of its own in the one of the whole session.
    shared = here.parent if hasattr(request.config, "workerinput") else here
    return PaperResults(shared / "paper-smoke", "smoke")


@pytest.fixture(scope="session")
def made(smoke_results):
    """How an item was made, its result included, by whichever process comes first."""
    seen = {}

    def get(name):
        if name not in seen:
            item = find_item(name)
            smoke_results.root.mkdir(parents=True, exist_ok=True)
            with FileLock(smoke_results.root.with_name(f"{item.id}.lock")):
                if smoke_results.load(item) is None:
                    with TemporaryDirectory() as work:
                        smoke_results.save(item, make(item, "smoke", Work(Path(work))))
            seen[name] = smoke_results.load(item)
        return seen[name]

    return get


@pytest.fixture(scope="session")
def smoke(made):
    """A fresh copy of an item's result at the smoke scale, to change at will."""
    return lambda name: copy.deepcopy(made(name).result)
