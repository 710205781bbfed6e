from hypothesis import given
from hypothesis import strategies as st

from lastbit.differing import differing_fields

DESCRIPTIONS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.none()), max_size=4)


def test_fields_that_differ_come_with_the_value_in_each():
    found = differing_fields([{"torch": "2.12", "threads": 1}, {"torch": "2.13", "threads": 1, "mkl": "2024"}])
    assert found == {"torch": ["2.12", "2.13"], "mkl": [None, "2024"]}
    assert differing_fields([]) == differing_fields([{"torch": "2"}]) == {}


@given(DESCRIPTIONS)
def test_without_the_fields_that_differ_descriptions_agree(descriptions):
    differing = differing_fields(descriptions)
    rest = [{name: value for name, value in each.items() if name not in differing} for each in descriptions]
    filled = [{name: each.get(name) for name in "abc"} for each in rest]
    assert all(each == filled[0] for each in filled)
    assert all(any(value != values[0] for value in values) for values in differing.values())
