"""Numbers that a pattern cuts, and words in a number's place; what stands in the text is the oracle."""

import re
from math import inf, isnan

import pytest

from lastbit.script.metrics import parse_number
from lastbit.script.pattern_metric import PatternMetric, groups

PLAIN = "loss=([0-9.]+)"


def last(pattern, text, place):
    (place / "stdout.txt").write_text(text)
    (place / "stderr.txt").touch()
    rows = list(PatternMetric(pattern).find(place))
    return next(iter(rows[-1].values())) if rows else None


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (PLAIN, "loss=3.988e-06", 3.988e-06),
        (PLAIN, "loss=3.988E+02, next", 398.8),
        (PLAIN, "loss=1,234.5 and", 1234.5),
        (PLAIN, "loss=1_000", 1000.0),
        (PLAIN, "loss=-0.25", -0.25),
        (PLAIN, "loss=+0.25", 0.25),
        (PLAIN, "loss=\u22120.25", -0.25),
        (PLAIN, "loss=.5", 0.5),
        (PLAIN, "loss=5.", 5.0),
        (PLAIN, "loss=0.93.", 0.93),
        (PLAIN, "loss=0.5s", 0.5),
        (PLAIN, "loss=93.1%", 93.1),
        (PLAIN, "loss=5,acc=3", 5.0),
        (PLAIN, "loss=0.5,0.7", 0.5),
        (PLAIN, "loss=1,loss=2", 2.0),
        (PLAIN, "loss=\x1b[31m0.75\x1b[0me", 0.75),
        (PLAIN, "\x1b[1mloss=\x1b[0m0.75", 0.75),
        (PLAIN, "10%|# | loss=0.5\r20%|## | loss=0.25\r", 0.25),
        (PLAIN, "loss=inf", inf),
        (PLAIN, "loss=-Infinity", -inf),
        ("loss=([0-9]+)", "loss=0.75", 0.75),
        ("loss=([0-9]+)", "loss=1e-5", 1e-5),
        (r"loss=-?([0-9.]+)", "loss=-0.5", -0.5),
        (r"loss=.*([0-9]+)", "loss=93.1", 93.1),
        (r"loss=([0-9.]+).*acc", "loss=3.5e-06 acc", 3.5e-06),
        (r"loss: (\S+)", "loss: 0.5, acc: 1", 0.5),
        (r"loss: (\S+)", "loss: 0.5s", 0.5),
        (r"loss: (.*)$", "loss:  0.5 ", 0.5),
        (r"loss: (\S+)", "loss: '0.5'", 0.5),
        (r"loss=([0-9]+)\.", "loss=3.75", 3.0),
        (r"loss=([0-9]+),", "loss=3,75", 3.0),
        (r"loss=0\.([0-9]+)", "loss=0.75", 75.0),
        (r"loss=-([0-9.]+)", "loss=-0.5", 0.5),
        (r"iter-([0-9]+)", "iter-12", 12.0),
        (r"fold_([0-9]+)", "fold_3_acc", 3.0),
        (r"loss.*?([0-9.]+)", "loss is -0.5 of 9", -0.5),
        (r"loss=([0-9.]+(?:e-[0-9]+)?)", "loss=2e-3", 2e-3),
        (r"(?i)LOSS=([0-9.]+)", "loss=2e-3", 2e-3),
        (r"loss=([0-9.]+) done", "loss=1,234.5 done", 1234.5),
        (r"loss=([0-9.]*)", "loss=-2.5", -2.5),
        (r"loss=([0-9.]+)(?#a (comment)", "loss=2.5e-3", 2.5e-3),
        (r"[(]loss[]()=]([0-9.]+)\)", "(loss=2.5e-3)", 2.5e-3),
        (r"loss=([0-9.]+) done", "loss=-2e-3 done", -2e-3),
        (r"loss: (\d+\.\d+)", "loss: 9.3e-1\nloss: 93", 93.0),
        (PLAIN, "loss=100.0\nloss= 93.5", 93.5),
        ("loss ([0-9.]+)", "loss 100.0\nloss  93.5", 93.5),
        (r"loss.*?(\d+\.\d+)", "loss of epoch 3: 0.5", 0.5),
        (r"loss.*?([0-9.]+)", "loss -- 0.5", 0.5),
        (r"loss=([0-9]+)/", "loss=12/20", 12.0),
        (PLAIN, "loss=0.5/s", 0.5),
        (PLAIN, "loss=10x", 10.0),
        (r"(0\.\d+)", "0.25\nx=-3", 0.25),
        (r": (\d\.\d{4})", "loss: 0.2500\nepoch: 3", 0.25),
    ],
)
def test_a_number_is_read_whole(tmp_path, pattern, text, value):
    assert last(pattern, f"loss=0.61 old\nepoch\n{text}\n", tmp_path) == value


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (PLAIN, "loss=nan"),
        (PLAIN, "loss=NaN, acc=0.5"),
        (PLAIN, "loss=-nan"),
        (PLAIN, "loss=None"),
        (PLAIN, "loss=\x1b[31mnan\x1b[0m"),
        (r"loss\D*([0-9.]+)", "loss: nan\nepoch 7"),
        (r"loss.*?([0-9.]+)", "loss=nan acc=0.5"),
        (r"loss=(\S+)", "loss=n/a"),
        (r"loss=([0-9.]+) done", "loss=nan done"),
        (r"loss=([0-9.]*)", "loss=nan"),
        (r"loss=(\S+)", "loss=--"),
        (PLAIN, "loss=  nan"),
        (PLAIN, "loss=--"),
        (PLAIN, "loss=-, acc=1"),
        (PLAIN, "loss= None"),
        ("loss ([0-9.]+)", "loss   nan"),
        (PLAIN, "loss=3.988\u00d710^-6"),
        (PLAIN, "loss=3.988 * 10**-6"),
        (PLAIN, "loss=3.988 x 10^-6"),
        (r"loss=(\S+)", "loss=3.988\u00d710^-6"),
        (PLAIN, "loss=12/20"),
        (PLAIN, "loss=0x1f"),
        (PLAIN, "loss=0,93"),
        (PLAIN, "loss=1'234"),
        ("loss=([0-9]+)", "loss=1.2.3"),
    ],
)
def test_what_is_no_number_in_the_end_leaves_none_from_before(tmp_path, pattern, line):
    assert isnan(last(pattern, f"loss=0.61\n{line}\n", tmp_path))


def test_words_near_a_number_are_not_in_its_place(tmp_path):
    assert last(r"acc.*?([0-9.]+)", "acc (none yet) 0.5\n", tmp_path) == 0.5
    assert last(r"acc=([0-9.]+)", "f1=nan acc=0.5 loss=nan\n", tmp_path) == 0.5
    assert last(r"acc.*?([0-9.]+)", "acc of banana, info: 0.5\n", tmp_path) == 0.5
    assert last(r"loss=.*([0-9]+)", "loss=0.5 acc=nan\n", tmp_path) == 0.5


def test_groups_are_read_each_for_itself(tmp_path):
    pattern = r"epoch (?P<epoch>[0-9]+),(?P<loss>[0-9.]+) acc=(?P<acc>[0-9.]+)"
    (tmp_path / "stdout.txt").write_text("epoch 3,1e-4 acc=nan\n")
    (tmp_path / "stderr.txt").touch()
    (row,) = PatternMetric(pattern).find(tmp_path)
    assert (row["epoch"], row["loss"], isnan(row["acc"])) == (3.0, 1e-4, True)


def test_a_cut_that_nobody_can_mend_is_reported(tmp_path):
    assert isnan(last(PLAIN, "loss=0,93\n", tmp_path))
    said = PatternMetric(PLAIN).doubt(tmp_path)
    assert said.startswith("--metric 'loss=([0-9.]+)' stops inside '0,93'")
    last(PLAIN, "loss=0.93\n", tmp_path)
    assert PatternMetric(PLAIN).doubt(tmp_path) == ""


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        (PLAIN, "loss=0.5\nloss=high\n", "'loss=high', which comes last"),
        (PLAIN, "loss=0.5\nloss=\nend\n", "'loss=', which comes last"),
        (r"loss: (\S+)", "loss: 0.5\nloss: high\n", "'loss: high', which comes last"),
        (PLAIN, "loss=high\nloss=0.5\n", ""),
        (PLAIN, "loss=high\n", ""),
        (r"loss=([0-9.]+) done", "loss=0.5 done\nloss=0.75 so far\n", ""),
        ("loss ([0-9.]+)", "loss 0.5\nloss curve saved\n", ""),
        (PLAIN, "loss=0.5\nloss=nan\n", ""),
    ],
)
def test_a_last_one_without_a_number_is_reported(tmp_path, pattern, text, said):
    last(pattern, text, tmp_path)
    doubt = PatternMetric(pattern).doubt(tmp_path)
    assert said in doubt
    assert bool(said) == bool(doubt)


@pytest.mark.parametrize(("text", "cut"), [("3\u00d710^-6", "3\u00d710^-6"), ("12/20 s", "12/20"), ("0x1f", "0x1f")])
def test_a_power_a_fraction_and_hexadecimal_digits_are_reported(tmp_path, text, cut):
    last(PLAIN, f"loss={text}\n", tmp_path)
    assert f"stops inside {cut!r}" in PatternMetric(PLAIN).doubt(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("93.1%", 93.1), ("1,234.5", 1234.5), ("$3", 3.0), ("high", None), ("0.5/1.0", None), ("3-4", None), ("", None)],
)
def test_the_number_that_a_text_is(text, value):
    assert parse_number(text) == value


def test_a_group_named_after_others_is_called_as_the_word_before_it():
    assert PatternMetric(r"(?:test )?acc=([0-9.]+)").names == ("acc",)


@pytest.mark.parametrize(
    ("pattern", "held"),
    [
        (r"a=([0-9.]+)", ["[0-9.]+"]),
        (r"\((?:b|c)[()]([^]()]+)\)", ["[^]()]+"]),
        (r"(?P<a>x(?P<b>[)]))(?P=b)(?=c)(?<!d)", ["x(?P<b>[)])", "[)]"]),
        (r"(?i)no group (?:here)", []),
    ],
)
def test_groups_are_found_in_a_pattern(pattern, held):
    assert [pattern[group.begin : group.end] for group in groups(pattern)] == held
    assert len(held) == re.compile(pattern).groups
