"""`lastbit study --vary`: what it says, draws and refuses."""

import json
import re

import pytest
from typer.testing import CliRunner

from lastbit.cli import cost
from lastbit.cli.commands import app
from lastbit.cli.varied import _sources

TINY = ("demo", "--scale", "smoke", "--set", "data.train=128", "--set", "data.test=100", "--set", "batch_size=32")
VARIED = (*TINY, "--set", "epochs=1", "--set", "schedule.milestones=[]", "--vary", "init,order,last-bit", "--runs", 7)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vary") / "study"
    arguments = ("study", *VARIED, "--workers", 1, "--out", directory)
    app([str(argument) for argument in arguments], standalone_mode=False)
    return directory


def test_it_prints_and_stores_what_each_source_contributes(lastbit, directory):
    code, out, err = lastbit("study", *VARIED, "--out", directory, "--json", "-")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert set(content["sources"]) == {
        *("init", "order", "augmentation", "dropout", "last_bit", "interaction", "remainder")
    }
    assert content["sources"]["augmentation"] is None
    assert content["design"]["missing"]["augmentation"] == "data.augment is false"
    assert {"std", "lower", "upper", "luck"} <= set(content["sources"]["init"])
    assert content["controls"] == {"repeat": True, "power_of_two": True}
    assert len(content["trials"]) == 7
    code, out, err = lastbit("study", *VARIED, "--out", directory)
    assert (code, err) == (0, "")
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert [row for row in rows if row in ("last bit",)] == ["last bit"] * 2
    assert rows.count("initialisation") == 2  # uncut beside long headings
    assert "dropout (model.dropout is 0" in " ".join(out.split())
    assert "controls: repeat bit-identical, power of two bit-identical" in out


def test_its_page_is_drawn_again_and_its_directory_is_sound(lastbit, directory, tmp_path):
    code, out, _ = lastbit("report", directory, "--out", tmp_path / "page.html", "--charts", tmp_path)
    assert code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Every combination of seeds" in page
    assert (tmp_path / "demo-sources.png").stat().st_size > 1000
    code, out, _ = lastbit("check", directory)
    assert code == 0
    assert "sound (9 trials" in out
    code, _, err = lastbit("compare", directory, directory)
    assert code == 2
    assert "compare studies over --seeds" in err


def test_it_says_which_runs_it_makes_before_it_trains(monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr(cost.Answers, "say", lambda answers, text: said.append(text))
    monkeypatch.setattr("lastbit.cli.run_study.run_study", lambda *_, **__: pytest.fail(said[0]))
    with pytest.raises(pytest.fail.Exception, match="3 seeds of initialisation and 3 seeds of batch order, in 9 comb"):
        app(["study", *map(str, VARIED[:-1]), "12", "--out", str(tmp_path)], standalone_mode=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "inti,last-bit"), "did you mean init?"),
        (("--vary", "augmentation,last-bit"), "data.augment is false"),
        (("--vary", "dropout,last-bit"), "model.dropout is 0"),
        (("--vary", "last-bit"), "a study over seeds shows that already"),
        (("--vary", "init,order,last-bit", "--runs", 4), "at least 5 are needed"),
        (("--vary", "init,last-bit", "--seeds", "1-3"), "--seeds 1-3 and --vary init,last-bit"),
        (("--vary", "init,last_bit"), "did you mean last-bit?"),
        (("--vary", "init,last-bit", "--runs", 4, "--k", "1,3,5,7"), "takes 2 to 3 noises"),
        (("--vary", "init,order", "--k", "1,3"), "takes one noise"),
        (("--runs", 24), "--runs 24 is for --vary"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(lastbit, tmp_path, options, message):
    code, out, err = lastbit("study", *TINY, *options, "--out", tmp_path / "study")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "study").exists()


def test_noises_of_any_kind_repeat(lastbit, monkeypatch, tmp_path):
    chosen = {}
    monkeypatch.setattr("lastbit.cli.run_study.run_study", lambda study, **_: chosen.update(study=study) or exit(0))
    kind = ("--noise", "rounding", "--p", "0.1")
    lastbit("study", *TINY, "--vary", "init,last-bit", *kind, "--out", tmp_path / "study")
    first, *others = chosen["study"].noises
    assert first.is_exact
    assert [(noise.kind, noise.p, noise.seed) for noise in others] == [("rounding", 0.1, n) for n in range(1, 13)]


def test_names_are_completed_one_after_another():
    assert _sources("") == ["init", "order", "augmentation", "dropout", "last-bit"]
    assert _sources("init,o") == ["init,order"]
    assert "init,init" not in _sources("init,")
    assert "last-bit" in re.sub(r"\s+", " ", CliRunner().invoke(app, ["study", "--help"]).output)
