"""The classes and the examples that flip, as a study's page shows them."""

import pytest
import report_examples

from lastbit.errors import LastbitError
from lastbit.report.page import Html, render
from lastbit.report.study.flips import CLEAR, UNCLEAR, flips_blocks
from lastbit.report.study.page import study_page
from lastbit.report.study.stored import as_stored

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def flips(**changes):
    classes = [
        {"label": label, "examples": 20, "churn": churn, "others": 2.0, "p_adjusted": p}
        for label, churn, p in ((0, 1.5, 0.4), (1, 7.25, 0.01), (2, 2.0, 0.9))
    ]
    examples = [{"index": 17, "target": 1, "churn": 44.4, "votes": [[1, 5], [0, 4]]}]
    part = {"classes": classes, "examples": examples}
    return {"noise": part, "seed": part, "class_names": ["shirt", "<coat>", "bag"], "pictures": {"17": PIXEL}} | changes


def study(**changes):
    return report_examples.make_study() | {"flips": flips(**changes)}


def test_the_class_that_churns_most_is_first_and_named():
    figure = flips_blocks(study())[0]
    assert figure.title == "The last bit flips 7.25 % of class <coat> and 2.00 % of the others"
    expected = [("<coat>", 7.25, CLEAR), ("bag", 2.0, UNCLEAR), ("shirt", 1.5, UNCLEAR)]
    assert [(row["group"], row["value"], row["kind"]) for row in figure.rows] == expected


def test_a_class_that_is_not_told_from_the_others_is_not_named():
    part = flips()["noise"]
    alike = part | {"classes": [row | {"p_adjusted": 0.2} for row in part["classes"]]}
    assert "all 3 classes alike" in flips_blocks(study(noise=alike))[0].title


@pytest.mark.parametrize(
    ("p_of_largest", "churn", "title"),
    [
        (0.4, 0.25, "The last bit flips 0.25 % of class shirt and 2.00 % of the others"),
        (0.01, 0.25, "The last bit flips 7.25 % of class <coat> and 2.00 % of the others"),
    ],
)
def test_a_class_that_churns_less_than_the_others_is_named_where_it_differs_most(p_of_largest, churn, title):
    part = flips()["noise"]
    changes = {0: {"churn": churn, "p_adjusted": 0.01}, 1: {"p_adjusted": p_of_largest}}
    rows = [row | changes.get(row["label"], {}) for row in part["classes"]]
    figure = flips_blocks(study(noise=part | {"classes": rows}))[0]
    assert figure.title == title
    assert [row["group"] for row in figure.rows if row["kind"] == CLEAR][-1] == "shirt"


def test_of_many_classes_those_that_churn_least_are_shown_too():
    rows = [{"label": i, "examples": 9, "churn": float(i), "others": 20.0, "p_adjusted": 0.01} for i in range(40)]
    figure = flips_blocks(study(noise=flips()["noise"] | {"classes": rows}, class_names=[]))[0]
    assert [row["group"] for row in figure.rows] == [str(i) for i in (*range(39, 24, -1), *range(14, -1, -1))]
    assert "Shown are the 30 classes that differ most." in figure.note


def test_pictures_stand_with_what_the_runs_say_and_nothing_of_a_file_is_markup():
    page = render(study_page(as_stored([study()])), libraries="")
    assert f'<img src="{PIXEL}" alt="test example 17"><b>&lt;coat&gt;</b><br>&lt;coat&gt; 5, shirt 4</li>' in page
    assert "<coat>" not in page.partition("chart-data")[0]


def test_without_pictures_the_examples_are_a_table():
    blocks = flips_blocks(study(pictures={}, class_names=[]))
    assert not any(isinstance(block, Html) for block in blocks)
    assert [tuple(row) for row in blocks[1].rows] == [("17", "1", "1 5, 0 4", "44.40")]


def test_seeds_are_shown_where_there_is_one_noise():
    assert flips_blocks(study(noise=None))[0].title.startswith("Batch order flips 7.25 %")


def test_results_from_before_have_nothing_to_show():
    assert flips_blocks(report_examples.make_study()) == []


@pytest.mark.parametrize(
    "picture", ["https://example.org/a.png", "data:image/svg+xml;base64,AA==", PIXEL + '" onload="']
)
def test_anything_but_a_png_is_refused(picture):
    with pytest.raises(LastbitError, match=r"not the results of a study: flips\.pictures\.17"):
        as_stored([study(pictures={"17": picture})])
