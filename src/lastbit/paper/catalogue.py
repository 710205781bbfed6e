"""All items, in the paper's order, and the names by which people can ask for them.

Items are discovered: each `Item` at the top level of a module of `lastbit.paper.items` is one, and so is each `Item`
that an installed package names in an entry point of the group `lastbit.paper_items`.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules

from lastbit.errors import LastbitError
from lastbit.paper import items as home
from lastbit.paper.item import Item
from lastbit.paper.names import ALL, other_items


def _built_in() -> Iterator[Item]:
    for module in iter_modules(home.__path__, f"{home.__name__}."):
        yield from (value for value in vars(import_module(module.name)).values() if isinstance(value, Item))


def _of_other_packages() -> Iterator[Item]:
    for entry in other_items():
        try:
            item = entry.load()
        except Exception as error:  # whatever it is, the other items are there all the same
            warnings.warn(f"the paper item {entry.value} cannot be imported: {error}", stacklevel=2)
            continue
        if isinstance(item, Item):
            yield item
        else:
            warnings.warn(f"the paper item {entry.value} is no Item: {item!r:.80}", stacklevel=2)


# Built-in items come last and so keep their ids: nobody's package changes what `figure5` is.
_BY_ID = {item.id: item for item in chain(_of_other_packages(), _built_in())}
ITEMS: Mapping[str, Item] = dict(sorted(_BY_ID.items(), key=lambda entry: (entry[1].order, entry[0])))

_LONG = (("figure", r"fig(?:ure)?"), ("table", r"tab(?:le)?"), ("theorem", r"th(?:eore)?m"))


def find_item(name: str) -> Item:
    """Return the item with a name, in any usual spelling: `figure5`, `Figure 5`, `fig5`; `theorem5.4`, `thm54`.

    Raises:
        LastbitError: no item has that name; the message lists the nearest ids, or all of them.
    """
    items = {_plain(id): item for id, item in ITEMS.items()}
    if (plain := _plain(name)) in items:
        return items[plain]
    near = difflib.get_close_matches(plain, items, cutoff=0.7)
    guess = (
        f"did you mean {' or '.join(items[name].id for name in near)}?"
        if near
        else f"items are {', '.join(ITEMS)}, and {ALL}"
    )
    raise LastbitError(f"there is no item {name!r} in the paper: {guess}")


def find_items(names: Sequence[str]) -> list[Item]:
    """Return the items of these names in the paper's order, each once; `all` stands for every item.

    Raises:
        LastbitError: no item has one of the names.
    """
    wanted = {item.id for name in names for item in ([*ITEMS.values()] if _plain(name) == ALL else [find_item(name)])}
    return [item for id, item in ITEMS.items() if id in wanted]


def _plain(name: str) -> str:
    """Return a name in lower case, with abbreviations expanded, without dots, spaces and dashes."""
    plain = re.sub(r"[\s._-]+", "", name.lower())
    for word, pattern in _LONG:
        plain = re.sub(rf"^{pattern}(?=\d)", word, plain)
    return plain
