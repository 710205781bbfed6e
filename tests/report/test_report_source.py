import pytest
from report_examples import make_study

from lastbit.report.page import render
from lastbit.report.study.account import standings
from lastbit.report.study.churn import churn_table
from lastbit.report.study.naming import source_of
from lastbit.report.study.page import study_page
from lastbit.report.study.quality import spread_figure
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.stored import as_stored
from lastbit.report.study.tables import gradient_table, pooled_table
from lastbit.report.study.weights import comparison_figure, rel_l1_figure

LABELS = {
    "ulp": ("no ulp", "ulp #1"),
    "rounding": ("p=0", "p=0.03 #1"),
    "order": ("given order", "order #1"),
    "operations": ("operations p=0", "operations p=0.03 #1"),
}


def study_of(kind):
    """A study of another noise, made of one of k."""
    study = make_study(kind, ks=(1, 3))
    labels = dict(zip((1, 3), LABELS[kind], strict=True))

    def renamed(row):
        return {name: value for name, value in row.items() if name != "k"} | {"kind": kind, "noise": labels[row["k"]]}

    std = study["std"]
    per_noise = {label: std["seed"]["per_noise"][f"k={k}"] for k, label in labels.items()}
    return study | {
        "source": "summation order" if kind == "order" else "last-bit noise",
        "noises": list(labels.values()),
        "controls": {"repeat": True, "null": True},
        "trials": [renamed(trial) for trial in study["trials"]],
        "rel_l1": [renamed(row) for row in study["rel_l1"]],
        "std": std | {"seed": std["seed"] | {"per_noise": per_noise}},
    }


def test_summation_order_is_called_so_everywhere():
    study = study_of("order")
    assert accuracy_figure(study).title.startswith("The order of summation moves test accuracy by")
    assert spread_figure(study).title.startswith("Summation order alone makes")
    assert spread_figure(study).rows[0]["group"] == "summation order"
    assert (
        rel_l1_figure(study, most_points=100).note.count("differs in nothing but the order of the samples inside") == 1
    )
    assert comparison_figure([study], most_points=100).title.startswith("The order of summation comes to a RelL1 of")
    assert pooled_table(study).rows[0][0] == "summation order, over all seeds"
    assert churn_table(study).title.startswith("The order of summation changes")
    assert churn_table(study).rows[0][0] == "the order of summation only"
    assert gradient_table(study).rows[0][0] == "floating point (summation order)"


def test_one_ulp_is_still_the_last_bit_but_no_update():
    study = study_of("ulp")
    assert accuracy_figure(study).title.startswith("The last bit moves test accuracy by")
    assert "but one unit in the last place of one weight, once." in rel_l1_figure(study, most_points=100).note
    assert "but the last bit of its updates." in rel_l1_figure(study_of("rounding"), most_points=100).note
    assert spread_figure(study).title.startswith("Last-bit noise alone makes")


def test_the_null_control_is_reported():
    (passed,) = standings(study_of("ulp"))
    assert passed.text.endswith("the same run twice gives the same bits and the noise turned off changes no bit.")
    (failed,) = standings(study_of("ulp") | {"controls": {"repeat": True, "null": False}})
    assert "the noise turned off changed bits" in failed.text


def test_several_studies_name_every_difference():
    studies = [make_study(), study_of("order")]
    figure = comparison_figure(studies, most_points=100)
    assert figure.title.startswith("The noise comes to a RelL1")
    assert "the last bit of its updates and the order of the samples inside its batches;" in figure.note


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ulp", "is moved to the next floating-point number"),
        ("rounding", "with probability p"),
        ("order", "another order of summation"),
        ("operations", "of what the training computes"),
    ],
)
def test_the_page_explains_the_noise_it_shows_and_no_other(kind, said):
    page = render(study_page(as_stored([study_of(kind)])), libraries="")
    method = page[page.index('class="method"') :].split("</section>")[0]
    assert said in method
    assert method.count("The noise") == 1
    assert "(lr · k)" not in method
    both = render(study_page(as_stored([study_of(kind), make_study()])), libraries="")
    assert said in both
    assert "(lr · k)" in both


def test_results_from_before_there_was_a_choice_are_last_bit_noise():
    study = make_study()
    assert "source" not in study
    assert (source_of(study).name, source_of(study).kinds) == ("last-bit noise", ("scale",))
    assert source_of(study | {"trials": []}).difference == "last-bit noise"
