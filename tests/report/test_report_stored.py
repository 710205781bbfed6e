import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from report_examples import make_study, make_trial

from lastbit.report.study.naming import distinct_names, file_stems
from lastbit.report.study.stored import as_stored, noise_label, roundoff_exponent, trials_by_place

names = st.lists(
    st.text() | st.sampled_from(["demo", "Demo", "demo (2)", "demo-2", "", "../x"]), min_size=1, max_size=6
)


@given(names)
def test_names_are_distinct_and_begin_with_the_study_s_own(given_names):
    shown = distinct_names([{"name": name} for name in given_names])
    assert len(set(shown)) == len(given_names)
    assert all(one.startswith(name or "study") for one, name in zip(shown, given_names, strict=True))
    assert distinct_names([{"name": "demo"}, {"name": "demo"}]) == ["demo", "demo (2)"]


@given(names)
def test_file_names_are_distinct_on_any_file_system_and_hold_no_path(given_names):
    stems = file_stems([{"name": name} for name in given_names])
    assert len({stem.lower() for stem in stems}) == len(given_names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,70}", stem) for stem in stems)


def test_a_readable_name_stays_as_it_is_in_a_file_name():
    assert file_stems([{"name": "resnet56-cifar10"}, {"name": "<script>alert(1)</script>"}]) == [
        "resnet56-cifar10",
        "script-alert-1-script",
    ]


def test_trials_are_found_by_the_labels_of_the_table():
    study = make_study()
    found = trials_by_place(study)
    assert found["k=3", 2]["test_accuracy"] == 82.03
    assert noise_label({"kind": "flip", "noise": "flip 1 ulp"}) == "flip 1 ulp"
    assert noise_label({"kind": "flip", "rate": 0.1}) == "flip"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_the_unit_roundoff_is_half_of_torch_s_epsilon(dtype):
    exponent = roundoff_exponent({"settings": {"dtype": dtype}})
    assert 2.0**exponent == torch.finfo(getattr(torch, dtype)).eps / 2


def test_no_roundoff_without_a_known_dtype():
    assert roundoff_exponent({"settings": {}}) is None
    assert roundoff_exponent({"settings": {"dtype": "posit8"}}) is None


def test_what_is_not_finite_is_stored_as_missing():
    study = make_study(sampling_error=float("nan"), verdict=("a", "b"))
    study["rel_l1"][0]["value"] = float("inf")
    (stored,) = as_stored([study])
    assert stored["sampling_error"] is None
    assert stored["rel_l1"][0]["value"] is None
    assert stored["rel_l1"][1:] == study["rel_l1"][1:]
    assert as_stored([stored]) == [stored]


def test_what_is_no_result_is_refused_in_one_line():
    with pytest.raises(ValueError, match="at least one study; got none"):
        as_stored([])
    without = {key: value for key, value in make_study().items() if key not in ("verdict", "churn")}
    with pytest.raises(ValueError, match=r"they lack churn, verdict$"):
        as_stored([make_study(), without])
    with pytest.raises(ValueError, match="not the results of a study"):
        as_stored([[make_trial(1, 1)]])
