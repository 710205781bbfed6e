import json
from pathlib import Path

import pytest

from lastbit.report.growth.page import rates_table
from lastbit.storage.files import read_checksummed, write_checksummed
from lastbit.storage.locks import directory_lock
from lastbit.training.twins import run_twins

TINY = ("demo", "--scale", "smoke", "--set", "data.train=256", "--set", "data.test=100", "--set", "batch_size=64")


def test_prints_rates_draws_a_page_and_stores_what_it_prints(lastbit, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "250")  # so that no cell is wrapped
    code, out, err = lastbit("growth", *TINY, "--steps", 9, "--out", tmp_path / "g", "--json", tmp_path / "g.json")
    assert (code, err) == (0, "")
    assert "k=3 against k=1: in 9 steps the weights' relative distance grew from" in out
    assert out.splitlines()[-1] == f"page: {tmp_path / 'g' / 'growth.html'}"
    stored = read_checksummed(tmp_path / "g" / "growth.json")
    [row] = rates_table(stored).rows
    assert row[0] == "k=3"
    assert all(cell in out for cell in row)
    assert stored == json.loads((tmp_path / "g.json").read_text())
    page = (tmp_path / "g" / "growth.html").read_text()
    assert "<html" in page
    (tmp_path / "g" / "growth.html").unlink()
    code, out, err = lastbit("report", tmp_path / "g", "--charts", tmp_path / "charts")
    assert (code, err) == (0, "")
    drawn = [Path(line) for line in out.splitlines()]
    assert drawn[0].read_text() == page
    assert {path.suffix for path in drawn[1:]} == {".png", ".svg"}
    assert drawn[1].read_bytes().startswith(b"\x89PNG")
    write_checksummed(tmp_path / "g" / "growth.json", {"name": "demo", "pairs": []})
    code, _, err = lastbit("report", tmp_path / "g")
    assert (code, err.count("\n")) == (2, 1)
    assert "they hold no pair of runs" in err
    write_checksummed(tmp_path / "g" / "growth.json", {"name": "demo"})
    code, _, err = lastbit("report", tmp_path / "g")
    assert (code, err.count("\n")) == (2, 1)
    assert "growth.json does not hold what it should" in err


def test_what_linearised_training_predicts_is_printed_stored_and_drawn(lastbit, tmp_path):
    command = ("growth", *TINY, "--steps", 3, "--set", "model.activation=swish", "--linearised")
    code, out, err = lastbit(*command, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "Linearised training predicts the distance throughout" in out
    [pair] = read_checksummed(tmp_path / "growth.json")["pairs"]
    assert pair["linearised"]["predicted"] == pytest.approx(pair["relative_l2"], rel=1e-4)
    assert "predicted by linearised training" in (tmp_path / "growth.html").read_text()
    code, _, err = lastbit(*command[:-1], "--out", tmp_path)
    assert (code, "holds results of growth of other settings" in err) == (2, True)


def test_other_settings_another_command_and_altered_results_are_each_refused_in_a_line(lastbit, tmp_path):
    place = tmp_path / "g"
    assert lastbit("growth", *TINY, "--steps", 2, "--out", place)[0] == 0
    before = (place / "growth.json").read_bytes()
    assert lastbit("growth", *TINY, "--steps", 2, "--out", place)[0] == 0
    assert (place / "growth.json").read_bytes() == before
    code, _, err = lastbit("growth", *TINY, "--steps", 3, "--seed", 2, "--out", place)
    assert (code, err) == (
        2,
        f"lastbit: {place} holds results of growth of other settings: choose another directory "
        "(seed 1 -> 2, steps 2 -> 3)\n",
    )
    with directory_lock(place):
        code, _, err = lastbit("growth", *TINY, "--steps", 2, "--out", place)
    assert code == 2
    assert err.startswith(f"lastbit: {place} is in use by another run (")
    (place / "growth.json").write_bytes(before.replace(b"k=3", b"k=5", 1))
    code, _, err = lastbit("report", place)
    assert (code, err) == (2, f"lastbit: {place / 'growth.json'} does not match its checksum: it was altered\n")


def test_a_run_that_was_killed_trains_only_the_pairs_that_are_missing(lastbit, monkeypatch, tmp_path):
    command = ("growth", *TINY, "--k", "1,3,5", "--steps", 3, "--out")
    assert lastbit(*command, tmp_path / "whole")[0] == 0
    trained = []

    def counted(*arguments, noise, **options):
        trained.append(noise.label)
        if trained == ["k=3", "k=5"]:
            raise KeyboardInterrupt
        return run_twins(*arguments, noise=noise, **options)

    monkeypatch.setattr("lastbit.training.twins.run_twins", counted)
    place = tmp_path / "killed"
    assert lastbit(*command, place)[0] == 130
    assert not (place / "growth.json").exists()
    assert lastbit(*command, place)[0] == 0
    assert trained == ["k=3", "k=5", "k=5"]
    assert (place / "growth.json").read_bytes() == (tmp_path / "whole" / "growth.json").read_bytes()
    assert lastbit(*command, place)[0] == 0
    assert trained == ["k=3", "k=5", "k=5"]
    pair = place / "pairs" / "k3.json"
    pair.write_bytes(pair.read_bytes().replace(b"k=3", b"k=7", 1))
    code, _, err = lastbit(*command, place)
    assert (code, err) == (2, f"lastbit: {pair} does not match its checksum: it was altered\n")


def test_json_on_standard_output_has_a_pair_for_each_further_k(lastbit):
    code, out, err = lastbit("growth", *TINY, "--k", "1,2,3", "--steps", 3, "--json", "-")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert [pair["noise"] for pair in content["pairs"]] == ["k=2", "k=3"]
    assert content["pairs"][0]["relative_l2"] == [0, 0, 0]
    assert content["pairs"][0]["growth"]["identical_until"] == 3
    assert all(value > 0 for value in content["pairs"][1]["relative_l2"])
    assert content["verdict"].startswith("k=2 against k=1: bit-identical after all 3 steps.")
    assert content["settings"]["batch_size"] == 64


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["growth", "dmo"], "there is no recipe 'dmo'"),
        (["growth", "demo", "--k", "3"], "--k 3: give at least two different values"),
        (["growth", "demo", "--k", "3,3"], "--k 3,3: give at least two different values"),
        (["growth", "demo", "--jump", "1"], "--jump 1: the least factor of a jump is above 1"),
        (["growth", "demo", "--steps", "0"], "--steps"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(lastbit, arguments, complaint):
    code, out, err = lastbit(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
