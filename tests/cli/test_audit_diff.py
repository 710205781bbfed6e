import json
from dataclasses import replace

import pytest
from tests.script.trace.written_traces import Training, write

from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.format import END
from lastbit.script.trace.rounding import keep_envelopes


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with traces: of a run, of one that only rounds differently, and of another computation."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.trace", Training().writer.trace(threads=1))
    write(tmp_path / "rounds.trace", Training(noise=1e-7, fused=True).writer.trace(threads=2))
    write(tmp_path / "other.trace", Training(noise=1e-7, lr=0.2).writer.trace(threads=2))
    write(tmp_path / "cut.trace", Training(noise=1e-7, lr=0.2).writer.trace(ended=False))
    return tmp_path


def test_two_files_are_compared_shown_and_kept(lastbit, place):
    code, out, err = lastbit("audit", "diff", "a.trace", "other.trace", "--out", "kept", "--json", "found.json")
    assert (code, err) == (0, "")
    assert "leaves rounding at operation 13, step 0, model.w2: argument alpha of aten::add_, -0.1" in out
    assert "  line       train.py:11" in out
    assert "│ threads │" in out
    found = json.loads((place / "found.json").read_text())
    assert found == json.loads((place / "kept" / "audit.json").read_text())
    assert found["beyond_rounding"]["differs"].endswith("-0.1 against -0.2 (the learning rate or the weight decay)")
    assert "-0.1 against -0.2" in (place / "kept" / "audit.html").read_text()


def test_json_alone_goes_to_standard_output(lastbit, place):
    code, out, err = lastbit("audit", "diff", "a.trace", "a.trace", "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["same_bits"], found["first_different"], found["beyond_rounding"]) == (True, None, None)


@pytest.mark.parametrize(("file", "status"), [("a.trace", 0), ("rounds.trace", 1), ("other.trace", 1)])
def test_for_ci_runs_that_may_be_another_computation_are_exit_status_1(lastbit, place, file, status):
    assert lastbit("audit", "diff", "a.trace", file)[0] == 0
    assert lastbit("audit", "diff", "--fail", "a.trace", file)[0] == status


def test_a_comparison_takes_the_place_of_an_earlier_audit_and_of_nothing_else(lastbit, place):
    assert lastbit("audit", "diff", "a.trace", "other.trace", "--out", "kept")[0] == 0
    assert lastbit("audit", "diff", "a.trace", "a.trace", "--out", "kept")[0] == 0
    assert json.loads((place / "kept" / "audit.json").read_text())["same_bits"]
    code, _, err = lastbit("audit", "diff", "a.trace", "a.trace", "--out", ".")
    assert (code, err.count("\n")) == (2, 1)
    assert "holds other files" in err


def test_a_recording_that_was_killed_says_how_far_it_goes(lastbit, place):
    cut = (place / "cut.trace").read_bytes()
    (place / "cut.trace").write_bytes(cut + cut[-40:])
    _, out, _ = lastbit("audit", "diff", "a.trace", "cut.trace")
    assert "the second trace ends after 35 operations, in step 2: the program was stopped before its end" in out
    assert "40 bytes at the end of the file are not whole" in out


def test_a_trace_that_is_cut_short_fails_and_a_damaged_one_is_called_so(lastbit, place):
    """Also where all that is there has the same bits."""
    write(place / "long.trace", Training().writer.trace())
    whole = (place / "long.trace").read_bytes()
    write(place / "killed.trace", Training().writer.trace(ended=False))
    place_of_end = whole.rindex(END)
    flipped = whole[: place_of_end + 13] + bytes([whole[place_of_end + 13] ^ 64]) + whole[place_of_end + 14 :]
    for name, content in (("flipped", flipped), ("cut", whole[:-1])):
        (place / f"{name}.trace").write_bytes(content)
    whole_or_not = (("long", True, False), ("killed", False, False), ("cut", False, False), ("flipped", False, True))
    for name, complete, damaged in whole_or_not:
        code, out, _ = lastbit("audit", "diff", "--fail", "a.trace", f"{name}.trace", "--json", "-")
        found = json.loads(out)
        assert (code, found["complete"], found["first_different"]) == (int(not complete), complete, None)
        assert ("the file is damaged there" in found["verdict"]) is damaged
        assert ("stopped before its end" in found["verdict"]) is (not complete and not damaged)


def rank(number, *, recording="first", world=2, **changes):
    trace = Training(**changes).writer.trace(rank=number, world_size=world)
    return replace(trace, header=replace(trace.header, recording=recording))


def test_all_ranks_of_a_trace_are_compared_and_named(lastbit, place):
    for name, changes in (("two.trace", {}), ("faulty.trace", {"lr": 0.2})):
        write(place / name, rank(0))
        write(place / f"{name}.rank1", rank(1, **changes))
    code, out, _ = lastbit("audit", "diff", "two.trace", "faulty.trace", "--json", "-")
    found = json.loads(out)
    assert (code, found["first_different"]["rank"], found["beyond_rounding"]["rank"]) == (0, 1, 1)
    assert found["beyond_rounding"]["differs"].endswith("-0.1 against -0.2 (the learning rate or the weight decay)")
    count = len(rank(0).records) + len(rank(1).records)
    assert f"the same bits in {count} operations" in lastbit("audit", "diff", "two.trace", "two.trace")[1]
    cut = rank(1)
    (place / "two.trace.rank1").unlink()
    write(place / "two.trace.rank1", replace(cut, ended=False))
    assert "; rank 1: the first trace ends after" in lastbit("audit", "diff", "two.trace", "two.trace")[1]


def test_what_rounding_explains_of_ranks_is_kept_in_one_file_and_used_for_each(lastbit, place):
    for name, changes in (("two.trace", {}), ("rounds.trace2", {"noise": 1e-7}), ("other.trace2", {"noise": 1e-3})):
        write(place / name, rank(0))
        write(place / f"{name}.rank1", rank(1, **changes))
    assert "what rounding alone does here is not known" in lastbit("audit", "diff", "two.trace", "rounds.trace2")[1]
    plain, noisy = rank(1), [rank(1, noise=1e-7, noise_seed=seed) for seed in (3, 4)]
    keep_envelopes(place / "two.trace", [learn_envelope(rank(0), [rank(0)]), learn_envelope(plain, noisy)])
    code, out, _ = lastbit("audit", "diff", "--fail", "two.trace", "rounds.trace2")
    assert (code, "rank 1 on (aten::mm" in out) == (0, True)
    assert "within rounding up to the end: the runs are the same computation" in out
    code, out, _ = lastbit("audit", "diff", "--fail", "two.trace", "other.trace2")
    assert (code, ", step 0, rank 1" in out.partition("leaves rounding at operation")[2]) == (1, True)
    (place / "two.trace.rank1").unlink()
    write(place / "two.trace.rank1", rank(1, noise=1e-7))
    code, _, err = lastbit("audit", "diff", "two.trace", "rounds.trace2")
    assert (code, err.count("\n"), "of another trace than two.trace.rank1" in err) == (2, 1, True)


def test_a_rank_that_is_missing_or_of_another_recording_is_one_line(lastbit, place):
    write(place / "two.trace", rank(0))
    one_line = []
    for other in (None, rank(1, recording="second"), rank(1, world=3), rank(0)):
        if other is not None:
            (place / "two.trace.rank1").unlink(missing_ok=True)
            write(place / "two.trace.rank1", other)
        code, out, err = lastbit("audit", "diff", "two.trace", "a.trace")
        assert (code, out, err.count("\n")) == (2, "", 1)
        one_line.append(err)
    missing, *mixed = one_line
    assert "two.trace is of 2 processes, and the trace of rank 1 is missing: there is no two.trace.rank1" in missing
    assert all("two.trace.rank1 is not rank 1 of the run that two.trace is of" in err for err in mixed)
    (place / "two.trace.rank1").unlink()
    write(place / "two.trace.rank1", rank(1))
    err = lastbit("audit", "diff", "two.trace.rank1", "a.trace")[2]
    assert "two.trace.rank1 is rank 1 of 2: give the file of rank 0" in err


def test_a_rank_whose_file_is_cut_short_is_one_line(lastbit, place):
    write(place / "two.trace", rank(0))
    write(place / "two.trace.rank1", rank(1))
    whole = (place / "two.trace.rank1").read_bytes()
    for length, complaint in ((30, "two.trace.rank1 ends within its header"), (0, "two.trace.rank1 is empty")):
        (place / "two.trace.rank1").write_bytes(whole[:length])
        code, out, err = lastbit("audit", "diff", "two.trace", "a.trace")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert complaint in err
    # Of the last piece that is not whole, in which all operations are, nothing is left to compare.
    (place / "two.trace.rank1").write_bytes(whole[:-60])
    code, _, err = lastbit("audit", "diff", "two.trace", "two.trace")
    assert (code, err.count("\n")) == (2, 1)
    assert "the first trace of rank 1 holds no operation: it was cut before the first were written whole (" in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a.trace"], "audit diff takes two traces, not 1: lastbit audit diff A.trace B.trace"),
        (["a.trace", "missing.trace"], "missing.trace cannot be read: No such file or directory"),
        (["a.trace", "text"], "text is no trace: lastbit audit --record makes one"),
        (["a.trace", "a.trace", "--steps", "3"], "and --against are for runs, and audit diff runs nothing"),
    ],
)
def test_wrong_input_is_one_line(lastbit, place, words, complaint):
    (place / "text").write_text("hello")
    code, out, err = lastbit("audit", "diff", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err


@pytest.mark.parametrize("words", [("diff", "--help"), ("diff", "a.trace", "-h")])
def test_diff_has_a_help_of_its_own(lastbit, place, words):
    code, out, err = lastbit("audit", *words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: lastbit audit diff [OPTIONS] A.trace B.trace")
    assert "--threads" not in out
