import json
import shutil

import pytest
import torch

import lastbit as lb
from lastbit.cli.commands import app
from lastbit.storage.files import read_checksummed, write_checksummed
from lastbit.training.catalogue import recipe_names

TINY = ("demo", "--scale", "smoke", "--set", "data.train=256", "--set", "data.test=100", "--workers", 1)


@pytest.fixture(scope="module")
def study_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study") / "study"
    arguments = ("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", directory)
    app([str(argument) for argument in arguments], standalone_mode=False)
    return directory


def test_a_study_prints_table_controls_and_verdict_and_draws_a_page(lastbit, study_directory):
    code, out, err = lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", study_directory)
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("│")] == [
        *("k=1", "k=3", "STD"),
        *("test", "batch", "last"),  # the sources of the variance
    ]
    assert "controls: repeat bit-identical, power of two bit-identical" in out
    assert "ast-bit noise" in out
    page = (study_directory / "report.html").read_text()
    assert out.splitlines()[-1] == f"page: {study_directory / 'report.html'}"
    assert "<html" in page


def test_json_on_standard_output_has_the_documented_shape_and_nothing_beside(lastbit, study_directory):
    code, out, err = lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", study_directory, "--json", "-")
    assert (code, err) == (0, "")
    results = json.loads(out)
    assert results["controls"] == {"repeat": True, "power_of_two": True}
    assert [(trial["seed"], trial["k"]) for trial in results["trials"]] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert all(0 <= trial["test_accuracy"] <= 100 for trial in results["trials"])
    assert results["std"]["noise"]["pooled"]["std"] >= 0
    assert results["std"]["seed"]["pooled"]["std"] >= 0
    assert {(row["k"], row["seed"]) for row in results["rel_l1"]} == {(3, 1), (3, 2)}
    first = results["rel_l1"][0]
    assert first["step"] == 1
    assert 0 < first["value"] < 1e-6
    assert results["churn"]["noise"]["pairs"] == 2
    assert results["churn"]["seed"]["pairs"] == 2
    assert isinstance(results["verdict"], str)
    assert results == read_checksummed(study_directory / "results.json")


def test_a_second_call_runs_nothing_and_a_larger_one_only_what_is_new(lastbit, study_directory, tmp_path):
    study_directory = shutil.copytree(study_directory, tmp_path / "copy")
    before = {file: file.stat().st_mtime_ns for file in study_directory.glob("trials/*/done.json")}
    assert len(before) == 6
    assert lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", study_directory)[0] == 0
    code, out, _ = lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-3", "--out", study_directory)
    assert code == 0
    assert "seed 3" in out
    after = {file: file.stat().st_mtime_ns for file in study_directory.glob("trials/*/done.json")}
    assert len(after) == 8
    assert {file: after[file] for file in before} == before


def test_the_report_is_drawn_again_from_what_is_stored(lastbit, study_directory, tmp_path):
    code, out, _ = lastbit("report", study_directory, "--out", tmp_path / "page.html", "--charts", tmp_path / "charts")
    assert code == 0
    paths = out.split()
    assert paths[0] == str(tmp_path / "page.html")
    assert {path.rsplit(".", 1)[1] for path in paths[1:]} == {"png", "svg"}
    assert all(file.stat().st_size > 500 for file in (tmp_path / "charts").iterdir())


def test_altered_results_that_kept_their_checksum_are_reported_in_one_line(lastbit, study_directory, tmp_path):
    altered = shutil.copytree(study_directory, tmp_path / "altered")
    results = read_checksummed(altered / "results.json")
    write_checksummed(altered / "results.json", {**results, "std": {"noise": 3}})
    code, out, err = lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", altered)
    assert (code, out) == (2, "")
    assert err.startswith(
        f"lastbit: {altered / 'results.json'} does not hold what it should: these are not the results of a study"
    )
    assert len(err.splitlines()) == 1


def test_a_diverged_run_is_a_row(lastbit, tmp_path):
    code, out, _ = lastbit(
        "study", *TINY, "--set", "optimizer.lr=1e30", "--k", "1", "--seeds", "1", "--out", tmp_path / "s"
    )
    assert code == 0
    assert "diverged" in out
    assert "1 run(s) diverged" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["study", "dmo"], "there is no recipe 'dmo': the nearest is demo"),
        (["study", "demo", "--kk", "3"], "No such option: --kk"),
        (["study", "demo", "--k", "0"], "must be a whole number from 1"),
        (["study", "demo", "--k", "1.5"], "--k '1.5': write whole numbers and ranges"),
        (["study", "demo", "--k", "1,3,3"], "noise k=3 is given twice"),
        (["study", "demo", "--seeds", "6-1"], "the range 6-1 runs backwards, write 1-6"),
        (["study", "demo", "--seeds", ""], "--seeds ''"),
        (["study", "demo", "--workers", "0"], "--workers 0: at least 1 is needed"),
        (["study", "demo", "--scale", "huge"], "demo has no scale 'huge': allowed are paper, smoke"),
        (["study", "demo", "--set", "optimizer.lr=-1"], "optimizer.lr = -1: input should be greater than 0"),
        (["study", "demo", "--set", "epochs=many"], "epochs = 'many': input should be a valid integer"),
        (["study", "demo", "--set", "batch_size=5000"], "batch_size = 5000: fashion-mini gives at most 4000"),
        (["study", "demo", "--set", "data.name=fashon"], "there is no data set 'fashon': did you mean fashion-m"),
        (["study", "resnet56-cifar10", "--root", "nowhere"], "run `lastbit data fetch cifar10 --root nowhere`"),
        (["study", "demo", "--device", "tpu"], "device 'tpu': allowed are auto, cpu, cuda"),
        (["study", "demo", "--device", "cuda:99"], "device 'cuda:99' is not here"),
        (["report", "nowhere"], "there is no directory nowhere"),
        (["report", "."], ". holds no finished study and nothing else that has a page"),
        (["recipe", "show", "dmo"], "the nearest is demo"),
        (["stduy"], "No such command 'stduy'. Did you mean 'study'?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(lastbit, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_another_study_is_refused(lastbit, study_directory):
    before = (study_directory / "study.json").read_bytes()
    code, _, err = lastbit("study", *TINY, "--set", "optimizer.lr=0.05", "--out", study_directory)
    assert code == 2
    assert "holds another study (demo, with other settings)" in err
    assert (study_directory / "study.json").read_bytes() == before


def test_json_that_cannot_be_written_is_reported(lastbit, study_directory, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = lastbit("report", study_directory, "--json", tmp_path / "file" / "below.json")
    assert code == 2
    assert "below.json: cannot write there: Not a directory" in err


@pytest.mark.parametrize("width", [40, 52, 80, 200])
def test_names_of_recipes_are_never_broken(lastbit, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = lastbit("recipe", "list")
    assert code == 0
    assert all(len(line) <= width for line in out.splitlines())
    rows = [line for line in out.splitlines() if line[0] not in " ┏┃┡└"]
    first = [line.removeprefix("│ ").split(" ")[0] for line in rows]
    assert [name for name in first if name] == recipe_names()
    assert {"paper", "laptop", "smoke"} <= {word.strip(",:") for word in out.split()}
    assert "…" not in out


def test_recipes_are_listed_and_shown(lastbit):
    code, out, _ = lastbit("recipe", "list", "--json", "-")
    assert code == 0
    assert {"demo", "resnet56-cifar10"} <= {row["name"] for row in json.loads(out)}
    assert "resnet56-cifar10" in lastbit("recipe", "list")[1]
    code, out, _ = lastbit("recipe", "show", "demo", "--set", "epochs=3", "--json", "-")
    assert json.loads(out)["epochs"] == 3
    assert json.loads(lastbit("recipe", "show", "demo")[1])["epochs"] == 9


def test_a_page_of_a_study_whose_controls_failed_is_refused_with_what_failed(lastbit, tmp_path):
    def unseeded(run):
        run.log(1, test_accuracy=float(torch.rand(1, generator=_fresh())))

    with pytest.raises(lb.study.ControlsFailedError):
        lb.Study(tmp_path, unseeded, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1,)).run()
    code, out, err = lastbit("report", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(
        f"lastbit: {tmp_path} holds a study without results.json: the controls failed: the same run twice gave "
    )


def _fresh():
    generator = torch.Generator()
    generator.seed()
    return generator
