"""A directory that cannot be written is said before any work, in one wording, with exit status 2."""

import pytest

TINY = ("--scale", "smoke", "--set", "data.train=64", "--set", "data.test=8", "--set", "batch_size=32", "--steps", "3")
COMMANDS = {
    "lastbit.script.audit.audit.audit": ("audit", "--out", "{out}", "--", "train.py"),
    "lastbit.training.twins.run_twins": ("growth", "demo", *TINY, "--out", "{out}"),
    "lastbit.pde.phase": ("pde", "phase", "--lr", "1:2:2", "--weight-decay", "1:2:2", "--out", "{out}"),
}


@pytest.mark.parametrize("place", ["/proc/nowhere/below", "file/below"])
@pytest.mark.parametrize("work", COMMANDS)
def test_it_is_reported_before_any_work(lastbit, monkeypatch, tmp_path, work, place):
    def begun(*arguments, **options):
        raise AssertionError("work has begun")

    monkeypatch.setattr(work, begun)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "file").touch()
    code, out, err = lastbit(*(word.format(out=place) for word in COMMANDS[work]))
    reason = "No such file or directory" if place.startswith("/proc") else "Not a directory"
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].replace("--out ", "") == f"lastbit: {place}: cannot write there: {reason}"
