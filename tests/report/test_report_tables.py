import pytest
from report_examples import FINGERPRINT, make_empty_study, make_study, make_trial

from lastbit.report.settings import differences, facts, flat_settings
from lastbit.report.study.account import cuts, standings, what_was_done
from lastbit.report.study.churn import churn_table
from lastbit.report.study.page import study_page
from lastbit.report.study.tables import accuracy_table, gradient_table, pooled_table, trials_table
from lastbit.report.table import is_alert, small_line

DIVERGED = make_trial(2, 3, status="diverged", diverged_at=1040, test_accuracy=None, train_loss=None)


def test_table_one_has_each_number_in_its_place():
    table = accuracy_table(make_study())
    assert table.columns == ["noise", "seed 1", "seed 2", "STD"]
    assert table.body == [
        ["k=1", "81.01", "82.01", "0.31"],
        ["k=3", "81.03", "82.03", "0.33"],
        ["k=5", "81.05", "82.05", "0.35"],
    ]
    assert [small_line(row[-1]) for row in table.body] == ["0.19 to 0.93", "0.20 to 0.99", "0.21 to 1.05"]
    assert table.feet == [["STD", "0.21", "0.22", ""]]
    assert [small_line(cell) for cell in table.feet[0]] == ["", "0.13 to 0.63", "0.13 to 0.66", ""]
    assert pooled_table(make_study()).rows == [
        ["last-bit noise, over all seeds", "0.14", "0.08 to 0.42", "9"],
        ["batch order, over all noises", "0.37", "0.22 to 1.11", "2.6"],
    ]
    assert table.title == "The runs’ test accuracy lies between 81.01 and 82.05 %"
    assert "ddof 1" in table.note
    assert "95 % chi-square" in table.note


def test_a_diverged_run_says_where_and_an_unfinished_one_that_it_is():
    trials = [make_trial(1, 1), DIVERGED]
    rows = accuracy_table(make_study(ks=(1, 3), trials=trials)).body
    assert [row[1:3] for row in rows] == [["81.01", "not finished"], ["not finished", "diverged at step 1,040"]]
    assert [is_alert(cell) for row in rows for cell in row[1:3]] == [False, False, False, True]


def test_too_few_runs_leave_dashes():
    table = accuracy_table(make_empty_study())
    assert table.title == "No run has a value of test accuracy"
    assert table.feet == [["STD", "–", ""]]
    assert small_line(table.feet[0][1]) == "too few runs"
    assert [row[1:] for row in pooled_table(make_empty_study()).rows] == [["–", "too few runs", "–"]] * 2


def test_every_run_has_a_row():
    rows = trials_table(make_study(trials=[make_trial(1, 1), DIVERGED])).rows
    assert rows == [
        ["1", "k=1", "finished", "81.01", "0.3873", "0.5119", f"{1001:016x}"],
        ["2", "k=3", "diverged at step 1,040", "–", "–", "0.5119", f"{2003:016x}"],
    ]
    assert [is_alert(row[2]) for row in rows] == [False, True]


def test_a_run_may_have_logged_no_loss():
    trial = {key: value for key, value in make_trial(1, 1).items() if not key.endswith("loss")}
    (row,) = trials_table(make_study(trials=[trial])).rows
    assert row[4:6] == ["–", "–"]


def test_roundoff_is_set_against_the_batches_fluctuation():
    table = gradient_table(make_study())
    assert table.title == "A relative gradient error of 2^-24 moves test accuracy 38 % as far as one of 18.40"
    assert table.rows == [
        ["floating point (last-bit noise)", "2^-24 ≈ 6.0e-8", "0.14"],
        ["batch selection (batch order)", "18.40", "0.37"],
    ]


def test_an_unknown_number_format_and_an_unmeasured_fluctuation_are_reported():
    assert gradient_table(make_empty_study()) is None
    unmeasured = gradient_table(make_study(gradient_fluctuation=None))
    assert [row[1] for row in unmeasured.rows] == ["2^-24 ≈ 6.0e-8", "–"]
    assert "was not measured" in unmeasured.note
    unknown = gradient_table(make_study(settings={}))
    assert [row[1] for row in unknown.rows] == ["–", "18.40"]
    assert "which is not recorded" in unknown.note


def test_a_roundoff_without_effect_is_reported_as_such():
    study = make_study()
    study["std"]["noise_over_seed"] = {"value": 0.0, "lower": 0.0, "upper": 0.0}
    assert gradient_table(study).title == (
        "A relative gradient error of 2^-24 does not move test accuracy, one of 18.40 does"
    )


def test_churn_compares_noise_with_seed():
    table = churn_table(make_study())
    assert table.title == "The last bit changes 1.83 % of the predictions, batch order 5.17 %"
    assert table.rows == [["the last bit only", "1.83", "2.75", "6"], ["batch order", "5.17", "5.55", "3"]]


def test_churn_of_one_kind_or_none():
    noise, seed = ({"mean": 1.0, "largest": 2.0, "pairs": 1}, {"mean": 3.0, "largest": 4.0, "pairs": 1})
    only_noise = churn_table(make_study(churn={"noise": noise, "seed": None}))
    assert only_noise.title == "The last bit changes 1.00 % of the predictions"
    assert only_noise.rows[1] == ["batch order", "–", "–", "0"]
    only_seed = churn_table(make_study(churn={"noise": None, "seed": seed}))
    assert only_seed.title == "Batch order changes 3.00 % of the predictions"
    assert churn_table(make_empty_study()).rows == []


def test_settings_are_flat_under_the_names_that_change_them():
    flat = dict(flat_settings(make_study()["settings"]))
    assert flat["optimizer.lr"] == "0.1"
    assert flat["optimizer.betas"] == "0.9, 0.999"
    assert flat["cuts"] == "–"


def test_the_facts_are_those_there_are():
    assert facts(make_study()["settings"]) == [
        ("network", "small-cnn"),
        ("activation", "relu"),
        ("epochs", "9"),
        ("optimizer", "sgd"),
        ("learning rate", "0.1"),
        ("number format", "float32"),
    ]
    assert facts(make_empty_study()["settings"]) == []


def test_studies_differ_in_what_is_not_equal_and_not_a_name():
    swish = make_study("swish")
    swish["settings"] |= {"model": {"name": "small-cnn", "activation": "swish", "beta": 1.0}}
    table = differences([(study["name"], study["settings"]) for study in (make_study(), swish)])
    assert table.columns == ["setting", "grown", "swish"]
    assert table.rows == [["model.activation", "relu", "swish"], ["model.beta", "–", "1.0"]]
    assert differences([("one", make_study()["settings"])]).rows == []


def test_controls_pass_fail_or_are_missed_loudly():
    (passed,) = standings(make_study())
    assert passed.kind == "standing passed"
    assert passed.text == (
        "Controls passed: the same run twice gives the same bits and k=2, which rounds nothing, changes no bit."
    )
    (failed,) = standings(make_study(controls={"repeat": True, "power_of_two": False, "other": False}))
    assert failed.kind == "standing failed"
    assert "k=2, which rounds nothing, changed bits and “other” differs" in failed.text
    assert "the same run twice" not in failed.text
    for controls in (None, {}):
        (missed,) = standings(make_study(controls=controls))
        assert missed.kind == "standing doubt"
        assert "were not run" in missed.text


def test_mixed_numerics_are_a_doubt():
    kinds = standings(make_study(fingerprints=[FINGERPRINT, FINGERPRINT | {"torch": "2.12.0"}]))
    assert [standing.kind for standing in kinds] == ["standing passed", "standing doubt"]
    assert "2 kinds, whose numerics differ in torch (see the fingerprints)" in kinds[1].text


def test_the_account_counts_the_runs():
    assert (
        what_was_done(make_study()) == "One run for seeds 1 and 2 with each of k=1, k=3 and k=5: 6 runs, all finished."
    )
    partly = make_study(ks=(1, 3), trials=[make_trial(1, 1), DIVERGED])
    assert what_was_done(partly).endswith("4 runs, of which 1 finished, 1 diverged and 2 not finished.")
    assert what_was_done(make_empty_study()).endswith(
        "seed 1 with each of k=1 and k=3: 2 runs, of which 2 not finished."
    )


def test_a_reduced_scale_says_what_it_cuts():
    reduced = make_study(settings={"scale": "smoke", "cuts": "2 of 9 epochs"})
    assert cuts(reduced["settings"]) == "This is the recipe at the reduced scale “smoke”: 2 of 9 epochs."
    assert cuts({"scale": "smoke"}).endswith("is not recorded.")
    assert cuts(make_study()["settings"]) == cuts({}) == ""


def test_a_script_has_seeds_of_its_own_and_no_gradient_error():
    study = make_study() | {"seed_decides": "the script's seed", "gradient_fluctuation": None, "settings": {}}
    assert "a column one seed of the script. STD" in accuracy_table(study).note
    assert gradient_table(study) is None
    assert gradient_table(make_study()) is not None


def method_words(*studies):
    """The first and the last paragraph of what was asked, and how."""
    section = next(part for part in study_page(studies).body if getattr(part, "kind", "") == "method")
    return section.blocks[1].text, section.blocks[-1].text


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, ""),
        ({"data": {"augment": False}, "model": {"name": "lenet"}}, ""),
        ({"data": {"augment": True}}, " and their augmentation"),
        ({"model": {"dropout": 0.3}}, " and the units that dropout sets to 0"),
        (
            {"data": {"augment": True}, "model": {"dropout": 0.3}},
            ", their augmentation and the units that dropout sets to 0",
        ),
    ],
)
def test_what_a_seed_decides_is_said_as_the_recipe_has_it(settings, more):
    plain, study = make_study("plain", settings={}), make_study(settings=settings)
    said = f"The seed decides the order of the training images{more}; the initial weights are the same in every run."
    assert method_words(study)[1] == method_words(plain, study)[1] == said
    compared = "with another seed" if more else "with a different order of the training images"
    assert f"rounding, and {compared} for comparison." in method_words(study)[0]
