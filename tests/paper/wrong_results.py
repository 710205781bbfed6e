"""Wrong results: how to make one out of a right one.

Each claim of each item has at least one mutation in a module `mutations_of_*.py` beside this file, which has

    MUTATIONS = {"figure1": {"words of the claim": [put("runs", 0, "blow_up_step", to=5), ...], ...}, ...}

The words must occur in exactly one of the item's claims at the smoke scale. After a mutation the claim must come out
otherwise: one that holds must fail or be undecided, one that fails must hold, an undecided one must be decided.

Where the smoke scale leaves claims undecided, `PREPARED = {"table1": prepare}` in the same module may first change the
result, in place, into one that decides; see `mutations_of_trainings.py`.

`test_claim_mutations.py` collects these modules, tries every mutation, and checks that no claim is without one.
Whoever adds an item adds its mutations to one of these modules, or a module of its own.
"""


def put(*path, to):
    """A mutation that puts a value into a result.

    Args:
        path: keys and indices; a dict stands for the first element of a list that has these values, and `...` for
            every element of a list or value of a dict.
        to: the value, or a function of the old one.
    """

    def mutate(result):
        for holder, key in _places(result, path):
            holder[key] = to(holder[key]) if callable(to) else to

    return mutate


def both(*mutations):
    """A mutation that is several."""

    def mutate(result):
        for each in mutations:
            each(result)

    return mutate


def times(factor):
    """For `put`: the old value, a number or a list of numbers, times a factor."""
    return lambda old: [factor * value for value in old] if isinstance(old, list) else factor * old


def _places(holder, path):
    first, *rest = path
    for key in _keys(holder, first):
        if rest:
            yield from _places(holder[key], rest)
        else:
            yield holder, key


def _keys(holder, key):
    if key is ...:
        return range(len(holder)) if isinstance(holder, list) else list(holder)
    if isinstance(key, dict):
        found = [i for i, each in enumerate(holder) if all(each[name] == value for name, value in key.items())]
        assert found, f"nothing has {key}"
        return found[:1]
    return [key]
