import pytest

import lastbit as lb
from lastbit.cli.noises import Noises
from lastbit.storage.files import read_checksummed

NOTHING = {"k": None, "noise_seeds": None, "operations": None, "p": None}


def parsed(kind, **options):
    return Noises(kind, NOTHING | options).chosen()


def test_without_options_the_papers_k_or_five_seeds_after_the_baseline():
    assert parsed("scale") == [lb.Scale(k) for k in (1, 3, 5, 7, 9, 11)]
    assert parsed("ulp") == [lb.Ulp(None), *(lb.Ulp(seed) for seed in range(1, 6))]
    assert parsed("rounding") == [lb.Rounding(0, 0), *(lb.Rounding(0.03, seed) for seed in range(1, 6))]
    assert parsed("operations") == [lb.Operations(0, 0), *(lb.Operations(seed, 0.03) for seed in range(1, 6))]
    assert parsed("order") == [lb.Order(None), *(lb.Order(seed) for seed in range(1, 6))]


def test_options_choose():
    assert parsed("scale", k="3,1") == [lb.Scale(3), lb.Scale(1)]
    assert parsed("ulp", noise_seeds="7-8") == [lb.Ulp(None), lb.Ulp(7), lb.Ulp(8)]
    assert parsed("rounding", noise_seeds="4", p=0.5) == [lb.Rounding(0, 0), lb.Rounding(0.5, 4)]
    names = ("mm", "convolution")
    chosen = [lb.Operations(0, 0, names), lb.Operations(2, 0.1, names)]
    assert parsed("operations", noise_seeds="2", p=0.1, operations="mm,convolution") == chosen


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("ulp", {"k": "1,3"}, "--k 1,3 is for --noise scale, and the noise here is ulp"),
        ("order", {"p": 0.1}, "--p 0.1 is for --noise operations or rounding, and the noise here is order"),
        (
            "scale",
            {"noise_seeds": "1"},
            "--noise-seeds 1 is for --noise operations or order or rounding or ulp, and the noise here",
        ),
        ("rounding", {"p": 1.5}, "p is the probability of moving a weight, a number from 0 to 1; got 1.5"),
        ("rounding", {"p": 0.0}, "--p 0.0 moves no weight"),
        ("operations", {"p": 0.0}, "--p 0.0 moves no result"),
        ("operations", {"operations": "mm,,"}, "names are those of torch's operations"),
        ("ulp", {"operations": "mm"}, "--operations mm is for --noise operations, and the noise here is ulp"),
        ("ulp", {"noise_seeds": "x"}, "--noise-seeds 'x': write whole numbers and ranges"),
    ],
)
def test_options_that_do_not_belong_together(kind, options, complaint):
    with pytest.raises(ValueError, match="^" + complaint.replace(".", r"\.")):
        parsed(kind, **options)


TINY = ("demo", "--scale", "smoke", "--set", "data.train=128", "--set", "data.test=50", "--workers", 1, "--seeds", 1)


def test_a_study_of_summation_order_says_so(lastbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit("study", *TINY, "--noise", "order", "--noise-seeds", 1)
    assert (code, err) == (0, "")
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert rows[:3] == ["given order", "order #1", "STD"]
    assert "controls: repeat bit-identical, null bit-identical" in out
    assert "ummation order" in out
    assert "ast-bit noise" not in out
    directory = tmp_path / "runs" / "demo-smoke-order"
    results = read_checksummed(directory / "results.json")
    assert [(trial["kind"], trial["seed"], trial["noise_seed"]) for trial in results["trials"]] == [
        ("order", 1, None),
        ("order", 1, 1),
    ]


def test_wrong_noises_are_one_line(lastbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, complaint in (
        (
            ["--noise", "ulps"],
            "'ulps' is no noise, did you mean ulp? There are operations, order, rounding, scale, ulp",
        ),
        (["--noise", "zzz"], "'zzz' is no noise; there are operations, order, rounding, scale, ulp"),
        (["--noise", "ulp", "--k", "3"], "--k 3 is for --noise scale"),
        (["--noise", "ulp", "--noise-seeds", "1,1"], "noise ulp #1 is given twice"),
    ):
        code, out, err = lastbit("study", "demo", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert complaint in err
    assert list(tmp_path.iterdir()) == []
