"""Every item, in the paper's order, and how to name one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from lastbit.errors import LastbitError
from lastbit.paper.beta import BETA
from lastbit.paper.figure1 import FIGURE1
from lastbit.paper.figure2 import FIGURE2
from lastbit.paper.figure3 import FIGURE3
from lastbit.paper.figure4 import FIGURE4
from lastbit.paper.figure5 import FIGURE5
from lastbit.paper.figure6 import FIGURE6
from lastbit.paper.figure7 import FIGURE7
from lastbit.paper.figure8 import FIGURE8
from lastbit.paper.figure9 import FIGURE9
from lastbit.paper.figure10 import FIGURE10
from lastbit.paper.figure11 import FIGURE11
from lastbit.paper.item import Item
from lastbit.paper.names import ALL
from lastbit.paper.phase import PHASE
from lastbit.paper.resnet56_growth import RESNET56_GROWTH
from lastbit.paper.table1 import TABLE1
from lastbit.paper.table2 import TABLE2
from lastbit.paper.table3 import TABLE3
from lastbit.paper.table4 import TABLE4
from lastbit.paper.table5 import TABLE5
from lastbit.paper.table6 import TABLE6
from lastbit.paper.table7 import TABLE7
from lastbit.paper.table8 import TABLE8
from lastbit.paper.table9 import TABLE9
from lastbit.paper.theorem5_1 import THEOREM5_1
from lastbit.paper.theorem5_2 import THEOREM5_2
from lastbit.paper.theorem5_3 import THEOREM5_3
from lastbit.paper.theorem5_4 import THEOREM5_4
from lastbit.paper.theorem5_5 import THEOREM5_5
from lastbit.paper.theorem5_6 import THEOREM5_6
from lastbit.paper.theorem5_7 import THEOREM5_7

ITEMS: Mapping[str, Item] = {
    item.id: item
    for item in (
        FIGURE1,  # section 3: the last bit, and PDEs that restrain their instabilities
        FIGURE2,
        TABLE1,  # section 4: the last bit in trainings of deep networks
        FIGURE3,
        THEOREM5_1,  # section 5: stability of a convolution layer's PDE
        THEOREM5_2,
        THEOREM5_3,
        THEOREM5_4,
        THEOREM5_5,
        THEOREM5_6,
        FIGURE4,
        TABLE2,
        TABLE3,
        FIGURE5,
        THEOREM5_7,
        FIGURE6,  # section 6: the edge of stability
        FIGURE7,
        FIGURE8,
        FIGURE9,
        TABLE4,  # appendices
        TABLE5,
        TABLE6,
        TABLE7,
        TABLE8,
        FIGURE10,
        FIGURE11,
        TABLE9,
        RESNET56_GROWTH,  # beyond the paper
        BETA,
        PHASE,
    )
}

_LONG = (("figure", r"fig(?:ure)?"), ("table", r"tab(?:le)?"), ("theorem", r"th(?:eore)?m"))


def find_item(name: str) -> Item:
    """Return the item of a name, however people spell it: `figure5`, `Figure 5`, `fig5`; `theorem5.4`, `thm54`.

    Raises:
        LastbitError: there is none of that name; the message has the nearest ids, or all.
    """
    found = {_plain(id): item for id, item in ITEMS.items()}
    if (plain := _plain(name)) in found:
        return found[plain]
    near = difflib.get_close_matches(plain, found, cutoff=0.7)
    guess = (
        f"did you mean {' or '.join(found[each].id for each in near)}?"
        if near
        else f"items are {', '.join(ITEMS)}, and {ALL}"
    )
    raise LastbitError(f"there is no item {name!r} in the paper: {guess}")


def find_items(names: Sequence[str]) -> list[Item]:
    """Return the items of these names in the paper's order, each once; `all` stands for every item.

    Raises:
        LastbitError: a name is of no item.
    """
    wanted = {item.id for name in names for item in ([*ITEMS.values()] if _plain(name) == ALL else [find_item(name)])}
    return [item for id, item in ITEMS.items() if id in wanted]


def _plain(name: str) -> str:
    """A name in lower case, spelled out, and without dots, spaces and dashes."""
    plain = re.sub(r"[\s._-]+", "", name.lower())
    for word, pattern in _LONG:
        plain = re.sub(rf"^{pattern}(?=\d)", word, plain)
    return plain
