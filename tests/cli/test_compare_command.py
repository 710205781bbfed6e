"""`lastbit compare` on small stored studies, and every wrong input in one line."""

import json

import fsspec
import numpy as np
import pytest
from scipy import stats

import lastbit as lb


def logs(gain):
    def train(run):
        jitter = {1: 0.0, 2: 0.0, 3: 0.3, 5: -0.2}[run.noise.k]
        run.log(1, test_accuracy=80.0 + run.seed % 3 + jitter + gain * (1 + run.seed % 2), loss=0.5)

    return train


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies")
    for name, gain, seeds in (("new", 0.4, (1, 2, 3, 4)), ("old", 0.0, (1, 2, 3, 4)), ("one", 0.0, (1,))):
        noises = [lb.Scale(k) for k in ((1, 3, 5) if name != "one" else (1,))]
        lb.Study(root / name, logs(gain), noises=noises, seeds=seeds, name=name, settings={"gain": gain}).run()
    return root


def runs_for(gain):
    """Of the spread of one run of each: the gains of the seeds, 0.8 and 0.4, and twice two thirds of the noise."""
    std = np.sqrt(np.var([0.8, 0.4, 0.8, 0.4], ddof=1) + 2 * 2 / 3 * np.var([0, 0.3, -0.2], ddof=1))
    powers = ((n, stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, gain / std * np.sqrt(n))) for n in range(3, 50))
    return next(n for n, power in powers if power >= 0.8)


def test_tables_verdict_gain_and_page(lastbit, studies, tmp_path):
    out = tmp_path / "out"
    code, said, err = lastbit("compare", studies / "new", studies / "old", "--gain", "0.5", "--out", out)
    assert (code, err) == (0, "")
    words = " ".join(said.split())
    assert said.startswith("new against old: test accuracy in percent")
    assert (
        "new − old: +0.60 points, 95 % interval 0.23 to 0.97: more than noise with 4 seeds (12 runs) of each" in words
    )
    assert "), new is better. " in words
    assert f"A gain of 0.5 points takes {runs_for(0.5)} runs of each" in words
    assert said.splitlines()[-1] == f"page: {out / 'compare.html'}"
    assert "<html" in (out / "compare.html").read_text()


def test_json_on_standard_output_is_all_there_is_on_it(lastbit, studies, tmp_path):
    out = tmp_path / "out"
    code, said, err = lastbit("compare", studies / "new", studies / "old", "--out", out, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(said)
    expected = json.loads(json.dumps(lb.compare(studies / "new", studies / "old").as_json()))
    assert {name: value for name, value in found.items() if name != "gain"} == expected
    assert found["gain"] is None
    assert found == json.loads((out / "compare.json").read_text())


def test_another_metric_on_request(lastbit, studies, tmp_path):
    pair = (studies / "new", studies / "old")
    code, said, _ = lastbit("compare", *pair, "--metric", "loss", "--out", tmp_path, "--gain", "0.1")
    assert code == 0
    assert said.startswith("new against old: loss\n")
    words = " ".join(said.split())
    assert "new − old: +0.00, without an interval: not distinguishable" in words  # the loss is 0.5 in every run
    assert "How many runs a gain takes is not known: these runs do not vary." in words


def test_studies_elsewhere_are_compared_as_those_here(lastbit, studies, tmp_path):
    elsewhere = fsspec.filesystem("memory")
    elsewhere.put(str(studies / "new"), "/bucket/new", recursive=True)
    here = lastbit("compare", studies / "new", studies / "old", "--json", "-", "--out", tmp_path)
    there = lastbit("compare", "memory://bucket/new", (studies / "old").as_uri(), "--json", "-", "--out", tmp_path)
    assert here[0] == 0
    assert there == here
    code, said, err = lastbit("compare", "memory://bucket/none", studies / "old", "--out", tmp_path)
    assert (code, said, err) == (2, "", "lastbit: there is nothing at memory://bucket/none\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{new}", "nowhere"], "there is no directory nowhere"),
        (["{new}", "{new}"], "are the same study"),
        (["{new}", "{one}"], "one has one finished run only"),
        (["{new}", "{old}", "--metric", "f1"], "the study new has no metric 'f1': it has loss, test_accuracy"),
        (["{new}", "{old}", "--gain", "0"], "gain 0: a gain must be above 0"),
        (["{new}", "{old}", "--gain", "nan"], "gain nan: a gain must be above 0"),
        (["{new}", "{old}", "--gain", "big"], "'--gain'"),
        (["{new}", "{old}", "--out", "{new}/study.json"], "study.json is a file: name a directory"),
        (["{new}"], "compare was given one recipe"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(lastbit, studies, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    places = {name: studies / name for name in ("new", "old", "one")}
    code, out, err = lastbit("compare", *(argument.format(**places) for argument in arguments))
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def runs(tmp_path):
    generator, path = np.random.default_rng(0), tmp_path / "runs.csv"
    effects = generator.normal(0, 0.5, 6)
    lines = [
        f"{name},{seed},{93 + gain + effects[seed] + generator.normal(0, 0.1):.3f}"
        for name, gain in (("base", 0), ("mixup", 0.8), ("[cosine]", 0))
        for seed in range(6)
    ]
    path.write_text("\n".join(["recipe,seed,acc", *lines]) + "\n")
    return path


def test_a_table_of_runs_gives_rows_verdict_json_and_page(lastbit, runs, tmp_path):
    out = tmp_path / "out"
    options = ("--by", "recipe", "--metric", "acc", "--seed", "seed", "--within", "0.3", "--out", out)
    code, said, err = lastbit("compare", runs, *options, "--json", tmp_path / "found.json")
    assert (code, err) == (0, "")
    assert said.startswith("2 recipes against base: acc (higher is better)")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == json.loads((out / "compare.json").read_text())
    assert " ".join(found["verdict"].split()) in " ".join(said.split())
    assert "1 of 2 recipes differs from base by more than noise" in found["verdict"]
    assert "[cosine] is the same as base within 0.3" in found["verdict"]
    expected = lb.compare(runs, by="recipe", metric="acc", seed="seed", within=0.3).as_json() | {"gain": None}
    assert found == json.loads(json.dumps(expected))
    assert said.splitlines()[-1] == f"page: {out / 'compare.html'}"
    code, said, err = lastbit("report", out, "--charts", tmp_path / "charts")
    assert (code, err) == (0, "")
    assert (tmp_path / "charts" / "compare-differences.png").exists()


def test_a_gain_of_a_table_takes_runs_that_terminal_json_and_page_name(lastbit, runs, tmp_path):
    out = tmp_path / "out"
    code, said, err = lastbit("compare", runs, "--gain", "0.3", "--out", out, "--json", tmp_path / "found.json")
    assert (code, err) == (0, "")
    gain = json.loads((tmp_path / "found.json").read_text())["gain"]
    needed = lb.compare(runs).runs_needed(0.3)
    assert {row["recipe"]: row["runs_needed"] for row in gain["recipes"]} == needed
    assert f"A gain of 0.3 (in the unit of acc) takes {min(needed.values())} " in " ".join(said.split())
    page = (out / "compare.html").read_text()
    assert "Runs that a gain of 0.3 takes" in page
    assert gain["sentence"] in page


def test_three_studies_are_compared_with_the_first_or_the_baseline(lastbit, studies, tmp_path):
    options = {"noises": [lb.Scale(1)], "seeds": (1, 2, 3, 4), "name": "third", "settings": {"gain": 1.0}}
    lb.Study(tmp_path / "third", logs(1.0), **options).run()
    places = [studies / "old", studies / "new", tmp_path / "third"]
    code, said, _ = lastbit("compare", *places, "--baseline", "new", "--json", "-", "--out", tmp_path / "out")
    assert code == 0
    found = json.loads(said)
    assert [(row["recipe"], row["baseline"]) for row in found["comparisons"]] == [("old", "new"), ("third", "new")]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{runs}", "--by", "recipe", "--metric", "ac"], "acc"),
        (["{runs}", "--by", "recipe", "--baseline", "bse"], "no recipe 'bse' for the baseline: the nearest is base"),
        (["{runs}", "--by", "recipe", "--gain", "-1"], "gain -1: a gain must be above 0"),
        (["{runs}", "--by", "recipe", "--within", "0"], "within 0: a margin must be above 0"),
        (["missing.csv"], "missing.csv does not exist"),
        (["{new}", "{old}", "--by", "recipe"], "--by: for tables of runs"),
        (["{new}", "{runs}"], "compare studies or tables, not both"),
    ],
)
def test_a_wrong_question_about_a_table_is_one_line(
    lastbit, runs, studies, tmp_path, monkeypatch, arguments, complaint
):
    monkeypatch.chdir(tmp_path)
    places = {"runs": runs, "new": studies / "new", "old": studies / "old"}
    code, out, err = lastbit("compare", *(argument.format(**places) for argument in arguments))
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
