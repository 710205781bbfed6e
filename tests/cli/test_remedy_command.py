"""`lastbit remedy`: trains without and with each remedy, goes on where it stopped, and says what is better."""

import json
import shutil

import pytest

from lastbit.cli.commands import app
from lastbit.storage.files import read_json

SMALL = ("data.train=64", "data.test=50", "batch_size=32", "epochs=1", "schedule.milestones=[]")
TINY = ("demo", "--scale", "smoke", *(word for change in SMALL for word in ("--set", change)), "--workers", 1)
ASKED = (*TINY, "--k", "1,3", "--seeds", "1-2", "--remedies", "smooth=silu")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("remedy") / "all"
    app(["remedy", *map(str, ASKED), "--out", str(place)], standalone_mode=False)
    return place


def done(place):
    return {file.parent.name: file.stat().st_mtime_ns for file in place.glob("*/trials/*/done.json")}


def test_a_second_call_trains_nothing_and_shows_table_verdict_and_page(lastbit, directory):
    before = done(directory)
    assert len(before) == 2 * (4 + 2)  # each treatment has controls of its own
    code, out, err = lastbit("remedy", *ASKED, "--out", directory)
    assert (code, err) == (0, "")
    assert done(directory) == before
    rows = [line.split()[1][:7] for line in out.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert rows == 2 * ["baselin", "smooth="]
    assert "beyond doubt" in " ".join(out.split())
    assert out.splitlines()[-1] == f"page: {directory / 'remedies.html'}"
    assert "<html" in (directory / "remedies.html").read_text()


def test_the_json_has_the_documented_shape_and_is_kept(lastbit, directory):
    code, out, _ = lastbit("remedy", *ASKED, "--out", directory, "--json", "-")
    content = json.loads(out)
    assert code == 0
    assert content == read_json(directory / "remedies.json")
    assert content["baseline"]["name"] == "baseline"
    (row,) = content["remedies"]
    assert (row["name"], row["options"]) == ("smooth=silu", {"smooth": {"to": "silu"}})
    assert 0 <= row["accuracy"] <= 100
    assert row["churn"].keys() == {"last_bit", "batch_order"}
    assert 0 <= row["churn"]["batch_order"]["value"] <= 100
    assert isinstance(row["better"], bool)
    assert row["cost"]["time"] > 0
    assert row["cost"]["memory"] > 1
    assert isinstance(content["verdict"], str)


def settings(place):
    """What the settings of each study's trials say of remedies."""
    return {file.parent.name: read_json(file)["settings"].get("remedy") for file in place.glob("*/study.json")}


def test_each_treatment_is_a_study_with_controls_whose_trials_have_the_remedy_in_their_settings(directory):
    assert settings(directory) == {"baseline": None, "smooth=silu": {"smooth": {"to": "silu"}}}
    for results in directory.glob("*/results.json"):
        assert read_json(results)["controls"] == {"repeat": True, "power_of_two": True}


def test_other_remedies_train_only_what_is_new(lastbit, directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "copy")
    before = done(copy)
    asked = (*ASKED[:-1], "average=0.5+lr=0.5")
    assert lastbit("remedy", *asked, "--out", copy)[0] == 0
    after = done(copy)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 6
    both = {"average": {"decay": 0.5}, "lr": {"factor": 0.5}}
    assert settings(copy) == {**settings(directory), "average=0.5+lr=0.5": both}
    costs = read_json(copy / "costs.json")
    assert costs.keys() == {*after}
    assert all(seconds > 0 for seconds in costs.values())


def test_a_remedy_that_finds_nothing_to_change_is_left_out_and_said(lastbit, tmp_path):
    code, _, err = lastbit(
        "remedy", *TINY, "--set", "model.activation=swish", "--remedies", "smooth=silu", "--out", tmp_path / "out"
    )
    assert code == 2
    assert err.startswith("lastbit: no remedy is left to be measured: left out: smooth=silu: no kinked activation was")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_list_names_each_remedy_with_its_source(lastbit):
    code, out, _ = lastbit("remedy", "--list")
    assert code == 0
    words = " ".join(out.split())
    assert all(name in words for name in ("smooth=silu", "average=0.999", "capped=0.9", "clip=1", "warmup=100"))
    assert "Izmailov" in words


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--remedies", "smoth=silu"], "there is no remedy 'smoth', did you mean smooth?"),
        (["--remedies", "average=1.5"], "decay = 1.5: an exponential average has a decay above 0 and below 1"),
        (["--remedies", "lr,lr=0.5"], "lr=0.5 is given twice"),
        (["--within", "0"], "--within 0.0: write a positive number of points"),
        (["--seeds", "2-1"], "the range 2-1 runs backwards"),
        (["--set", "remedy.lr=x"], "demo: remedy: lr: factor = 'x': write a positive, finite number"),
    ],
)
def test_wrong_input_is_one_line(lastbit, tmp_path, arguments, complaint):
    code, out, err = lastbit("remedy", *TINY, "--out", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("remedies", "reason"),
    [
        ("float64", "float64=update: float64=update rounds away what the noise scale does"),
        ("compensated", "compensated: compensated rounds away what the noise scale does"),
        ("same_order", "same_order: nothing was put in order"),
    ],
)
def test_a_remedy_that_takes_the_noise_away_or_has_nothing_to_do_is_left_out(lastbit, tmp_path, remedies, reason):
    words = [word if word != "smooth=silu" else remedies for word in ASKED]
    code, out, err = lastbit("remedy", *words, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert f"no remedy is left to be measured: left out: {reason}" in " ".join(err.split())
