import pytest

from lastbit.script.file_metric import FileMetric, parse_file_metric
from lastbit.script.metrics import write_found
from lastbit.script.pattern_metric import PatternMetric
from lastbit.storage.files import read_checksummed


def found(source, place, stdout="", stderr=""):
    (place / "stdout.txt").write_text(stdout)
    (place / "stderr.txt").write_text(stderr)
    return list(source.find(place))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (r"acc=([0-9.]+)", ("acc",)),
        (r"test accuracy: ([0-9.]+)", ("accuracy",)),
        (r"'eval_loss': '?([-0-9.e]+)", ("eval_loss",)),
        (r"val/acc\s+([0-9.]+)", ("val/acc",)),
        (r"([0-9.]+) %", ("metric",)),
        (r"loss (?P<loss>\S+) acc (?P<acc>\S+)", ("loss", "acc")),
    ],
)
def test_a_metric_is_called_as_its_group_or_the_word_before_it(pattern, names):
    assert PatternMetric(pattern).names == names


def test_all_matches_are_a_series_in_order(tmp_path):
    rows = found(PatternMetric("acc=([0-9.]+)"), tmp_path, "acc=1.5\nx\nacc=2 acc=3.25\n", "acc=9")
    assert rows == [{"acc": 1.5}, {"acc": 2.0}, {"acc": 3.25}]


def test_standard_error_counts_where_standard_output_has_no_match(tmp_path):
    assert found(PatternMetric("acc=([0-9.]+)"), tmp_path, "epoch 1\n", "INFO acc=7\n") == [{"acc": 7.0}]


def test_lines_have_their_own_beginnings_and_what_is_no_number_is_left_out(tmp_path):
    rows = found(PatternMetric(r"^loss (\S+)$"), tmp_path, "loss 1e-3\nbest loss 5\nloss high\nloss nan\n")
    assert rows[0] == {"loss": 1e-3}
    assert len(rows) == 2
    assert rows[1]["loss"] != rows[1]["loss"]


@pytest.mark.parametrize(
    ("name", "content", "key", "values"),
    [
        ("r.json", '{"test": {"acc": [0.5, 0.75]}, "best": true}', "test.acc.-1", [0.75]),
        ("r.json", '{"test": {"acc": [0.5, 0.75]}, "best": true}', "test.acc.2", []),
        ("r.json", '{"best": true}', "best", []),
        ("r.jsonl", '{"acc": 1}\nnot json\n{"loss": 2}\n{"acc": 3.5}\n', "acc", [1.0, 3.5]),
        ("r.csv", "epoch,acc\n1,0.5\n2,\n3,0.7\n", "acc", [0.5, 0.7]),
    ],
)
def test_numbers_are_read_from_files(tmp_path, name, content, key, values):
    output = tmp_path / "output"
    output.mkdir()
    (tmp_path / name).write_text(content)
    source = parse_file_metric(f"{tmp_path / name}:{key}")
    assert found(source, output) == [], "only what was kept of this very trial counts"
    source.keep(output)
    assert [row[source.names[0]] for row in source.find(output)] == values


def test_a_file_in_the_trials_own_directory(tmp_path):
    (tmp_path / "r.json").write_text('{"acc": 4}')
    source = FileMetric("{trial}/r.json", "acc")
    source.keep(tmp_path)
    assert found(source, tmp_path) == [{"acc": 4.0}]


def test_found_metrics_are_written_and_found_again(tmp_path):
    (tmp_path / "stdout.txt").write_text("acc=1\nloss=2\n")
    (tmp_path / "stderr.txt").touch()
    write_found([PatternMetric("acc=([0-9]+)")], tmp_path)
    write_found([PatternMetric("loss=([0-9]+)")], tmp_path)
    assert read_checksummed(tmp_path / "found.json") == {"rows": [{"loss": 2.0}]}


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("acc=[0-9.]+", "has no group: put the number in parentheses"),
        ("acc=([0-9.]+", "is no regular expression"),
        ("a=(.*) b=(.*)", "has several groups: name them"),
        ("(?P<a>.) (.)", "has several groups: name them"),
        ("step=([0-9]+)", "cannot be called step"),
        ("at (?P<step>[0-9]+)", "cannot be called step"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_reported(pattern, complaint):
    with pytest.raises(ValueError, match=complaint):
        PatternMetric(pattern)


def test_a_file_metric_cannot_take_the_name_of_the_updates():
    with pytest.raises(ValueError, match=r"--metric-file r.json:last.step: a metric cannot be called step"):
        parse_file_metric("r.json:last.step")


@pytest.mark.parametrize("name", ["seed", "noise", "noise_seed", "kind", "k", "p", "id", "status", "failure"])
def test_metrics_may_be_called_as_the_columns_of_a_trial_are(name):
    assert PatternMetric(f"{name}=([0-9]+)").names == (name,)


@pytest.mark.parametrize("text", ["results.json", ":acc", "results.json:"])
def test_a_file_metric_needs_a_key(text):
    with pytest.raises(ValueError, match="write PATH:KEY"):
        parse_file_metric(text)
