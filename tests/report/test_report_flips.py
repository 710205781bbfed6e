"""What changes for users: rows, order and titles of the blocks, from stored numbers."""

import pytest

from lastbit.report.comparison.moves import CLEAR, UNCLEAR, class_difference_figure, moves_blocks, moves_table


def row(label, difference, p=0.5, reach=1.0):
    return {
        "label": label,
        "examples": 100,
        "difference": difference,
        "lower": difference - reach,
        "upper": difference + reach,
        "p_adjusted": p,
    }


def moves(**changes):
    return {
        "examples": 2000,
        "right_to_wrong": {"percent": 3.125, "lower": 2.5, "upper": 3.75},
        "wrong_to_right": {"percent": 4.5, "lower": 4.0, "upper": 5.0},
        "retrained": 2.875,
        "classes": [row(0, 1.0), row(1, -3.0, p=0.01), row(2, 4.0, p=0.05)],
    } | changes


def test_the_table_sets_what_breaks_beside_what_training_again_breaks():
    table = moves_table(moves(), new="a", old="b")
    assert table.title == "a breaks 3.12 % of the predictions and mends 4.50 %"
    assert [tuple(cells[1:]) for cells in table.rows] == [
        ("3.12", "2.50 to 3.75"),
        ("4.50", "4.00 to 5.00"),
        ("2.88", "–"),
    ]
    assert "2,000 examples" in table.columns[1]


def test_classes_stand_from_worst_to_best_and_those_that_differ_have_their_kind():
    figure = class_difference_figure(moves()["classes"], new="a", old="b")
    assert [(dot["group"], dot["kind"]) for dot in figure.rows] == [("1", CLEAR), ("0", UNCLEAR), ("2", CLEAR)]
    assert figure.title == "a is worse in class 1 and better in class 2"
    spans = figure.chart.data["spans"]
    assert [(span["low"], span["high"]) for span in spans] == [(-4, -2), (0, 2), (3, 5)]


def test_many_classes_are_counted_and_not_named():
    figure = class_difference_figure([row(i, i - 1.5, p=0.001) for i in range(7)], new="a", old="b")
    assert figure.title == "a is worse in classes 0, 1 and better in 5 of 7 classes"


def test_where_no_class_differs_the_title_says_so():
    figure = class_difference_figure([row(0, 1.0), row(1, -1.0)], new="a", old="b")
    assert figure.title == "In none of the 2 classes does accuracy differ by more than chance shows"


@pytest.mark.parametrize("classes", [30, 31, 100])
def test_of_many_classes_the_outermost_are_shown(classes):
    figure = class_difference_figure([row(i, float(i)) for i in range(classes)], new="a", old="b")
    expected = range(classes) if classes <= 30 else [*range(15), *range(classes - 15, classes)]
    assert [dot["group"] for dot in figure.rows] == [str(i) for i in expected]
    assert ("differ most" in figure.note) == (classes > 30)


def test_without_predictions_there_is_nothing_to_say():
    assert moves_blocks(None, new="a", old="b") == []


def test_the_charts_of_classes_promise_no_more_than_was_simulated():
    note = class_difference_figure(moves()["classes"], new="a", old="b").note
    assert "as simulations show" in note
    assert "named wrongly" not in note
