"""Each item's result at the smoke scale, made once."""

import copy

import pytest

from lastbit.paper.catalogue import find_item

_made = {}


@pytest.fixture(scope="session")
def smoke():
    """A fresh copy of an item's result at the smoke scale, to change at will."""

    def get(name):
        if name not in _made:
            _made[name] = find_item(name).reproduce("smoke")
        return copy.deepcopy(_made[name])

    return get
