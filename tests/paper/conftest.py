"""Each item's result at the smoke scale, made once."""

import copy
from importlib import import_module

import pytest

from lastbit.paper.item import Item

_made = {}


def item(name) -> Item:
    return getattr(import_module(f"lastbit.paper.{name}"), name.upper())


@pytest.fixture(scope="session")
def smoke():
    """A fresh copy of an item's result at the smoke scale, to change at will."""

    def get(name):
        if name not in _made:
            _made[name] = item(name).reproduce("smoke")
        return copy.deepcopy(_made[name])

    return get
