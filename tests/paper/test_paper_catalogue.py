import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.paper.catalogue import ITEMS, find_item, find_items


def test_every_item_is_filed_under_its_own_id_once():
    assert [item.id for item in ITEMS.values()] == list(ITEMS)


@pytest.mark.parametrize("name", ["figure5", "fig5", "Fig. 5", "FIGURE-5", "figure_5", " figure 5 "])
def test_an_item_is_found_however_it_is_spelled(name):
    assert find_item(name).id == "figure5"


def test_tables_are_not_figures():
    assert [find_item(name).id for name in ("table2", "Tab. 2", "tab2", "fig2")] == ["table2"] * 3 + ["figure2"]


@given(st.sampled_from([*ITEMS]), st.sampled_from(["", " ", ".", "-", "_"]), st.booleans())
def test_every_item_is_found_by_its_id_in_any_case_and_with_a_mark_before_its_number(id, mark, capitals):
    word, number = id.rstrip("0123456789"), id[len(id.rstrip("0123456789")) :]
    spelled = f"{word}{mark}{number}"
    assert find_item(spelled.upper() if capitals else spelled).id == id


def test_an_unknown_item_is_refused_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"there is no item 'figure55' in the paper: did you mean figure5\b.*\?"):
        find_item("figure55")
    with pytest.raises(ValueError, match=r"no item 'nonsense' in the paper: items are figure1, .*, and all"):
        find_item("nonsense")


def test_items_come_in_the_papers_order_and_once():
    assert [item.id for item in find_items(["table2", "fig1", "figure1"])] == ["figure1", "table2"]
    assert find_items(["All"]) == find_items(["fig2", "all"]) == list(ITEMS.values())
    assert find_items([]) == []
