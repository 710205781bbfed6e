"""Another script than that of a trace is told before it runs, by its name and its lines."""

import pytest

from lastbit.errors import LastbitError
from lastbit.script.launchers import Launch
from lastbit.script.target import FILE, MODULE, Target
from lastbit.script.trace.records import FORMAT, TraceHeader
from lastbit.script.trace.same_script import check_same_script, script_of, share_of_lines, sketch_of_lines

LINES = [f"line {number}" for number in range(2000)]


def text(begin, end):
    return "\n\n".join(f"  {line}  " for line in LINES[begin:end])


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Scripts of 40 lines: a changed one has 38 of those of the first; a large one begins with them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    files = {"train": (0, 40), "changed": (2, 42), "other": (100, 140), "elsewhere/train": (300, 340)}
    for name, lines in files.items():
        (tmp_path / f"{name}.py").write_text(text(*lines))
    (tmp_path / "nearly.py").write_text("\n".join(["line 1", *LINES[500:800]]))


def header(name="train.py"):
    script, code = script_of(Target(FILE, name), None)
    return TraceHeader(FORMAT, (name,), {}, {}, {}, 0, 1, None, "", script=script, code=tuple(code))


def checked(name, launch=None, **options):
    return check_same_script(Target(FILE, name), launch, header(**options))


@pytest.mark.usefixtures("scripts")
def test_the_same_name_is_the_same_script_wherever_it_lies_and_however_it_was_changed():
    assert checked("train.py") is checked("elsewhere/train.py") is None
    assert check_same_script(Target(MODULE, "package.train"), None, header()) is None


@pytest.mark.usefixtures("scripts")
def test_a_script_that_was_renamed_is_warned_of_and_one_without_its_lines_is_refused():
    assert checked("changed.py").startswith("the trace is of train.py, and this run of changed.py: if that is another")
    for another in ("other.py", "nearly.py"):
        with pytest.raises(
            LastbitError, match=f"another script: train.py, which has .* with {another}; nothing was run"
        ):
            checked(another)


@pytest.mark.usefixtures("scripts")
def test_of_a_launcher_it_is_the_script_that_it_starts():
    launcher = Target(FILE, "torchrun", ("other.py",))
    assert script_of(launcher, Launch(Target(FILE, "other.py"), 2, None))[0] == "other.py"
    with pytest.raises(LastbitError, match="another script"):
        checked("torchrun", Launch(Target(FILE, "other.py"), 2, None))


@pytest.mark.usefixtures("scripts")
def test_what_nobody_can_read_or_noted_refuses_nothing():
    assert script_of(Target(FILE, "gone.py"), None) == ("gone.py", [])
    assert checked("gone.py") is not None
    assert (
        check_same_script(Target(FILE, "other.py"), None, TraceHeader(FORMAT, (), {}, {}, {}, 0, 1, None, "")) is None
    )


@pytest.mark.parametrize(("begin", "share"), [(0, 1.0), (500, 1 / 3), (1000, 0.0)])
def test_the_share_of_common_lines_is_that_of_the_whole_files(begin, share):
    """Within three standard errors of a sample of 64."""
    one, other = (sketch_of_lines(text(start, start + 1000).encode()) for start in (0, begin))
    assert share_of_lines(one, other) == pytest.approx(share, abs=3 * (share * (1 - share) / 64) ** 0.5)
