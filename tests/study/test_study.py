import hashlib
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
import toy_training

import lastbit as lb
from lastbit.execution.pool import local_pool
from lastbit.study import ControlsFailedError, TrialFailedError

NOISES = [lb.Scale(k) for k in (1, 3, 5)]


def make(out, train=toy_training.train, **options):
    return lb.Study(out, train, **({"noises": NOISES, "seeds": (1, 2)} | options))


def contents(root):
    """Bytes of every file of the finished trials, as hashes."""
    files = sorted(file for file in (root / "trials").rglob("*") if file.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_runs_each_pair_of_seed_and_noise_and_the_controls(tmp_path):
    study = make(tmp_path)
    begun = [trial.label for trial in study.pending()]
    assert begun[:3] == ["seed 1, k=1", "seed 1, k=1, repeat 1", "seed 1, k=2"]
    assert sorted(begun[3:]) == ["seed 1, k=3", "seed 1, k=5", "seed 2, k=1", "seed 2, k=3", "seed 2, k=5"]
    done = []
    results = study.run(on_trial=lambda outcome: done.append(outcome.trial.label))
    assert done == begun
    assert results.controls.agree == {"repeat": True, "power_of_two": True}
    assert study.pending() == []


def test_the_table_is_the_papers(tmp_path):
    study = make(tmp_path)
    study.run()
    table = study.table()
    assert table.columns == ["noise", "seed 1", "seed 2", "STD"]
    assert table["noise"].to_list() == ["k=1", "k=3", "k=5", "STD"]
    values = table.head(3)
    assert table["seed 1"][3] == pytest.approx(values["seed 1"].std(ddof=1))
    rows = values.select(pl.concat_list("seed 1", "seed 2").list.std(ddof=1)).to_series()
    assert table["STD"].head(3).to_list() == pytest.approx(rows.to_list())
    assert study.table("loss").head(1)["seed 1"][0] != table.head(1)["seed 1"][0]


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_the_bytes_of_this_process(tmp_path, workers):
    make(tmp_path / "here").run()
    with local_pool(workers) as pool:
        make(tmp_path / "there").run(pool)
    assert contents(tmp_path / "here") == contents(tmp_path / "there") != {}


def test_any_executor_will_do(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        results = make(tmp_path / "threads").run(pool)
    assert len(results.grid.stored) == 6


def test_goes_on_with_what_is_missing(tmp_path):
    class Interrupted(BaseException):
        pass

    done = []

    def interrupt(outcome):
        done.append(outcome.trial.id)
        if len(done) == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        make(tmp_path / "one").run(on_trial=interrupt)
    again = []
    make(tmp_path / "one").run(on_trial=lambda outcome: again.append(outcome.trial.id))
    assert len(again) == 4
    assert not set(again) & set(done)
    make(tmp_path / "whole").run()
    assert contents(tmp_path / "one") == contents(tmp_path / "whole")


def test_more_seeds_and_noises_reuse_what_is_there(tmp_path):
    make(tmp_path, seeds=(1,)).run()
    larger = make(tmp_path, noises=[*NOISES, lb.Scale(7)])
    assert sorted(trial.label for trial in larger.pending()) == [
        "seed 1, k=7", "seed 2, k=1", "seed 2, k=3", "seed 2, k=5", "seed 2, k=7",
    ]  # fmt: skip


def test_stops_where_the_same_run_twice_differs(tmp_path):
    study = make(tmp_path, toy_training.train_unseeded)
    with pytest.raises(ControlsFailedError, match="the same run twice gave different bits") as caught:
        study.run()
    assert not caught.value.controls.agree["repeat"]
    assert len(study.pending()) == 5, "only the controls have run"


def test_stops_where_a_power_of_two_differs(tmp_path):
    with pytest.raises(ControlsFailedError, match="dividing and multiplying by 2") as caught:
        make(tmp_path, toy_training.train_against_powers_of_two).run()
    assert caught.value.controls.agree == {"repeat": True, "power_of_two": False}


def test_controls_stop_a_pool_too(tmp_path):
    study = make(tmp_path, toy_training.train_unseeded, seeds=range(1, 30))
    with pytest.raises(ControlsFailedError), local_pool(1) as pool:
        study.run(pool)
    assert len(study.pending()) > 50


def test_an_uncontrolled_study_says_so(tmp_path):
    results = make(tmp_path, toy_training.train_unseeded, controlled=False).run()
    assert results.controls is None
    assert results.verdict.startswith("Without controls")


def test_a_diverged_run_is_a_row_and_no_error(tmp_path):
    results = make(tmp_path, toy_training.train_diverging).run()
    rows = [row for row in results.as_json()["trials"] if row["k"] == 3]
    assert [(row["status"], row["test_accuracy"]) for row in rows] == [("diverged", None)] * 2
    assert all(row["diverged_at"] >= 1 for row in rows)
    assert "2 run(s) diverged" in results.verdict
    assert make(tmp_path, toy_training.train_diverging).table()["seed 1"].to_list()[1] is None


def test_a_run_that_raises_is_named_and_the_others_are_stored(tmp_path):
    study = make(tmp_path, toy_training.train_failing)
    with pytest.raises(TrialFailedError, match=r"2 trial\(s\) failed, first seed 1, k=3:(.|\n)*k = 3 is unlucky"):
        study.run()
    assert [trial.label for trial in study.pending()] == ["seed 1, k=3", "seed 2, k=3"]


def test_a_killed_worker_takes_only_its_own_trial_along(tmp_path):
    training = toy_training.KillsItsWorker(tmp_path / "marker")
    study = make(tmp_path / "study", training)
    with pytest.raises(TrialFailedError, match=r"k=3: WorkerDiedError: .*killed by SIGKILL"), local_pool(1) as pool:
        study.run(pool)
    assert [trial.noise.label for trial in study.pending()] == ["k=3"]
    with local_pool(1) as pool:
        study.run(pool)
    assert study.pending() == []


def test_refuses_a_directory_of_another_study_and_touches_nothing(tmp_path):
    make(tmp_path).run()
    before = contents(tmp_path), (tmp_path / "study.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds another study \(toy_training.train, with other settings\)"):
        make(tmp_path, toy_training.train_failing).run()
    assert (contents(tmp_path), (tmp_path / "study.json").read_bytes()) == before


def test_refuses_a_directory_of_other_files(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds other files \(thesis.tex\) and no study"):
        make(tmp_path).run()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"noises": []}, "at least one noise"),
        ({"seeds": []}, "at least one seed"),
        ({"seeds": [1, 2, 1]}, "seed 1 is given twice"),
        ({"noises": [lb.Scale(3), lb.Scale(3)]}, "noise k=3 is given twice"),
    ],
)
def test_refuses_an_empty_or_repeated_table(tmp_path, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
