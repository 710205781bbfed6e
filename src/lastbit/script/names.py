"""Names for an optimizer's parameters, found in the modules that hold them."""

import gc
from collections.abc import Iterable, Sequence
from itertools import compress

from torch import Tensor, nn
from torch.optim import Optimizer


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """The optimizer's parameters, group by group."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def parameter_names(parameters: Sequence[Tensor], prefix: str = "") -> list[str]:
    """A distinct name for each parameter: what the module that holds most of them calls it, else its place.

    An optimizer does not know its parameters' names. The modules are found among the objects that Python's garbage
    collector knows; looking there changes nothing. Wrappers (compiled, parallel) hold the same parameters as what they
    wrap, so that of several modules with equally many the one with the shortest names is asked.

    Args:
        parameters: of one optimizer.
        prefix: put before each name.
    """
    wanted = {id(parameter): place for place, parameter in enumerate(parameters)}
    names: dict[int, str] = {}
    asked = 0
    for found in _by_coverage(wanted):
        new = {place: name for place, name in found.items() if place not in names}
        asked += bool(new)
        names |= {place: name if asked == 1 else f"{name} ({asked})" for place, name in new.items()}
    every = [names.get(place, f"parameter {place}") for place in range(len(parameters))]
    return [prefix + name for name in _distinct(every)]


def _by_coverage(wanted: dict[int, int]) -> list[dict[int, str]]:
    """For each module that holds wanted parameters, place -> name there; the most complete first."""
    found = [
        {wanted[id(held)]: name for name, held in module.named_parameters() if id(held) in wanted}
        for module in _modules()
    ]
    # The last two keys make the choice the same in every run, whatever the order of objects in memory.
    return sorted(filter(None, found), key=lambda names: (-len(names), _length(names.values()), sorted(names.items())))


def _length(names: Iterable[str]) -> int:
    return sum(map(len, names))


def _modules() -> list[nn.Module]:
    # By type and not by isinstance, which would ask lazy proxies for their class and so wake them. A program may hold a
    # million objects, so Python looks at their types only and C at each of them.
    things = gc.get_objects()
    kinds = {kind for kind in set(map(type, things)) if issubclass(kind, nn.Module)}
    return list(compress(things, map(kinds.__contains__, map(type, things))))


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    chosen = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        chosen.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return chosen
