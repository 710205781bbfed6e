"""Numbers in the files that a run wrote, and none from files that it did not write."""

from math import isnan, nan
from pathlib import Path

import pytest

from lastbit.script.file_metric import FileMetric


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def values(source, output):
    return [next(iter(row.values())) for row in source.find(output)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("r.json", '{"acc": NaN}', [nan]),
        ("r.json", '{"acc": null}', [nan]),
        ("r.json", '{"acc": -Infinity}', [-float("inf")]),
        ("r.json", '{"acc": "93.1%"}', [93.1]),
        ("r.json", '{"acc": "1,234.5"}', [1234.5]),
        ("r.json", '{"acc": "None"}', [nan]),
        ("r.json", '{"acc": "high"}', []),
        ("r.json", '{"loss": 1}', []),
        ("r.jsonl", '{"acc": 0.6}\n{"loss": 1}\n{"acc": null}\n', [0.6, nan]),
        ("r.jsonl", '{"acc": 0.6}\n{"acc": NaN}\n', [0.6, nan]),
        ("r.csv", "epoch, acc\n1, 0.5\n2, nan\n", [0.5, nan]),
        ("r.csv", "\ufeffacc\n-1e-3\n", [-1e-3]),
        ("r.csv", "epoch,acc\n1,0.5\n2,None\n", [0.5, nan]),
        ("r.csv", "epoch;acc\n1;0.5\n2;0.25\n", [0.5, 0.25]),
        ("r.csv", "epoch\tacc\n1\t0.5\n2\t0.25\n", [0.5, 0.25]),
        ("r.csv", '"top 1,5";"acc"\n1;0.5\n2;0.25\n', [0.5, 0.25]),
        ("r.csv", "\nacc\n0.25\n", [0.25]),
        ("r.jsonl", '{"acc": 0.6}\n{"loss": 1}\n', [0.6]),
    ],
)
def test_what_stands_there_last_is_the_value(output, name, content, expected):
    Path(name).write_text(content, encoding="utf-8")
    source = FileMetric(name, "acc")
    source.keep(output)
    found = values(source, output)
    assert [value for value in found if not isnan(value)] == [value for value in expected if not isnan(value)]
    assert [isnan(value) for value in found] == [isnan(value) for value in expected]
    assert source.doubt(output) == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "epoch,acc\n1,0.5\n2,\n"),
        ("r.csv", "epoch,acc\n1,0.5\n2\n"),
        ("r.csv", "epoch,acc\n1,0.5\n2,-\n"),
        ("r.csv", 'epoch,acc\n1,0.5\n2,"0,93"\n'),
        ("r.csv", "epoch;acc\n1;0.5\n2;0,93\n"),
        ("r.csv", "epoch,acc\n1,0.5\n2,12/20\n"),
        ("r.jsonl", '{"acc": 0.5}\n{"acc": "--"}\n'),
        ("r.jsonl", '{"acc": 0.5}\n{"acc": true}\n'),
    ],
)
def test_a_file_that_ends_without_a_number_is_reported(output, name, content):
    Path(name).write_text(content)
    source = FileMetric(name, "acc")
    source.keep(output)
    assert values(source, output) == [0.5]
    assert source.doubt(output) == (
        f"--metric-file {name}:acc: the last row of {name} has no number for acc, and the last one that has counts"
    )


def test_a_file_that_another_run_left_is_no_value(output):
    Path("r.json").write_text('{"acc": 1}')
    source = FileMetric("r.json", "acc")
    before = source.state(output)
    source.keep(output, before=before)
    assert values(source, output) == []
    assert source.doubt(output).startswith("--metric-file r.json:acc: a run did not write r.json")
    Path("r.json").write_text('{"acc": 2.5}')
    source.keep(output, before=before)
    assert values(source, output) == [2.5]


def test_a_file_below_a_directory_that_the_run_made_is_found(output):
    made = Path("outputs/today")
    made.mkdir(parents=True)
    (made / "metrics.json").write_text('{"acc": 3}')
    source = FileMetric("metrics.json", "acc")
    source.keep(output, before=source.state(output), wrote=[str(made.absolute() / "metrics.json"), "/nowhere/x"])
    assert values(source, output) == [3.0]


def test_files_of_one_name_in_two_directories_are_two(output):
    sources = [FileMetric(f"{{trial}}/{place}/r.json", "acc") for place in "ab"]
    for number, place in enumerate("ab"):
        (output / place).mkdir()
        (output / place / "r.json").write_text(f'{{"acc": {number}}}')
    for source in sources:
        source.keep(output)
    assert [values(source, output) for source in sources] == [[0.0], [1.0]]
