"""Every claim of every item comes out otherwise for some wrong result: none is written so that it cannot."""

import importlib
from pathlib import Path

import pytest

from lastbit.paper.catalogue import ITEMS

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("mutations_of_*.py"))
FOUND = [importlib.import_module(module) for module in MODULES]
TABLES = [module.MUTATIONS for module in FOUND]
PREPARED = {item: prepare for module in FOUND for item, prepare in getattr(module, "PREPARED", {}).items()}
MUTATIONS = {item: claims for table in TABLES for item, claims in table.items()}
EACH = [
    pytest.param(item, words, number, id=f"{item}: {words}, {number}")
    for item, claims in MUTATIONS.items()
    for words, mutations in claims.items()
    for number in range(len(mutations))
]


def outcome(item, result, place):
    return ITEMS[item].claims(result)[place]["holds"]


@pytest.mark.parametrize(("item", "words", "number"), EACH)
def test_a_wrong_result_changes_what_becomes_of_the_claim(item, words, number, smoke):
    result = smoke(item)
    PREPARED.get(item, lambda result: None)(result)
    # By its place: a mutation may change the numbers in a claim's text.
    (place,) = (i for i, made in enumerate(ITEMS[item].claims(result)) if words in made["claim"])
    before = outcome(item, result, place)
    MUTATIONS[item][words][number](result)
    after = outcome(item, result, place)
    assert after is not before
    assert before is not False or after is True


@pytest.mark.parametrize("item", ITEMS)
def test_every_claim_has_a_mutation(item, smoke):
    assert item in MUTATIONS, f"no module mutations_of_*.py has {item}; see wrong_results.py"
    claims = [each["claim"] for each in ITEMS[item].claims(smoke(item))]
    missed = [text for text in claims if not any(words in text for words in MUTATIONS[item])]
    assert missed == []
    for words in MUTATIONS[item]:
        assert sum(words in text for text in claims) == 1, words


def test_each_item_is_in_one_table():
    assert sum(map(len, TABLES)) == len(MUTATIONS)
    assert set(MUTATIONS) <= set(ITEMS)
