"""`lastbit report` on results that lie elsewhere."""

import fsspec
import pytest

import lastbit as lb


def logs(run):
    run.log(1, test_accuracy=80.0 + run.seed)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A finished study at memory://bucket/far, two directly below it and one that has not ended."""
    system, root = fsspec.filesystem("memory"), tmp_path_factory.mktemp("studies")
    for name in ("far", "near"):
        study = lb.Study(root / name, logs, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2), name=name)
        study.run()
        study.store_results()
        system.put(str(root / name), f"/reports/{name}", recursive=True)
    system.put(str(root / "far" / "study.json"), "/unended/study.json")
    return "memory://reports"


def test_one_study_is_drawn_where_the_command_is_given(lastbit, elsewhere, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit("report", f"{elsewhere}/far")
    assert (code, out, err) == (0, "report.html\n", "")
    assert "far" in (tmp_path / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_several_studies_are_drawn_on_one_page(lastbit, elsewhere, tmp_path):
    assert lastbit("report", elsewhere, "--out", tmp_path / "both.html")[0] == 0
    text = (tmp_path / "both.html").read_text()
    assert "<h2>far</h2>" in text
    assert "<h2>near</h2>" in text


def test_a_study_that_has_not_ended_is_named_as_here(lastbit, elsewhere):
    code, out, err = lastbit("report", "memory://unended")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "holds a study that has not ended" in err
    assert "; give the command that began it again: it continues" in err
