"""What each source contributes to runs whose sources of spread are known."""

import re
from functools import partial

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.report.numbers import percent
from lastbit.report.study import write_report
from lastbit.statistics.sources import source_spreads
from lastbit.study import TrialFailedError

METRIC = lb.Metric("test_accuracy", "test accuracy", " points")
STDS = {"init": 3.0, "order": 1.0}
EXAMPLES = 400


def draw(*key, std=1.0):
    return std * float(np.random.default_rng(key).normal())


def train(run, *, dead=False):
    """An accuracy that is a sum of known effects, and predictions that are right so often."""
    effects = [std * draw(len(name), seed) for (name, std), seed in zip(STDS.items(), run.seeds.values(), strict=True)]
    if dead:
        effects = effects[:1]
    noise = 0.0 if run.noise.k == 1 or dead else 0.5 * (-1) ** (run.noise.k // 2)
    right = min(EXAMPLES, max(0, round(EXAMPLES * (80 + sum(effects) + noise) / 100)))
    labels = torch.cat([torch.zeros(right), torch.ones(EXAMPLES - right)]).long()
    run.log(1, test_accuracy=100 * right / EXAMPLES)
    run.log_predictions(labels, torch.zeros(EXAMPLES).long())


def finished(directory, function=train, *, vary=("init", "order", "last-bit"), runs=24, **options):
    study = lb.Study(directory, function, vary=vary, runs=runs, controlled=False, **options)
    study.run()
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("contributions") / "study")


def test_the_contributions_are_those_of_the_statistics_on_the_stored_runs(study):
    content = study.results().as_json()
    runs = sorted(content["trials"], key=lambda trial: (trial["k"], trial["seed"]))
    seeds = content["design"]["seeds"]
    levels = {name: np.array([seeds[name][run["seed"] - 1] for run in runs]) for name in ("init", "order")}
    expected = source_spreads(levels, np.array([run["test_accuracy"] for run in runs]))
    for name in ("init", "order"):
        part = content["sources"][name]
        assert (part["std"], part["lower"], part["upper"]) == pytest.approx(
            (expected.sources[name].std, expected.sources[name].lower, expected.sources[name].upper)
        )
    assert content["sources"]["last_bit"]["std"] == pytest.approx(expected.last_bit.std)
    assert content["sources"]["interaction"]["std"] == pytest.approx(expected.interaction.std)
    assert content["sources"]["remainder"]["share"] is None
    shares = [part["share"] for name, part in content["sources"].items() if name != "remainder"]
    assert sum(shares) == pytest.approx(1)


def test_a_source_that_moves_the_metric_is_found_and_the_last_bit_as_it_is(study):
    """Without interaction the runs are additive up to the rounding to whole examples, 0.07 points."""
    sources = study.results().as_json()["sources"]
    assert sources["init"]["lower"] > 0
    assert sources["init"]["lower"] < STDS["init"] < sources["init"]["upper"]
    assert sources["interaction"]["std"] < 0.15
    assert sources["last_bit"]["std"] == pytest.approx(0.5 / np.sqrt(2), abs=0.01)  # two runs that are 0.5 apart


def test_no_spread_over_cells_is_given_as_if_they_were_independent_seeds(study):
    content = study.results().as_json()
    assert content["std"]["seed"]["pooled"] is None
    assert content["std"]["noise_over_seed"] is None
    assert set(content["std"]["seed"]["per_noise"].values()) == {None}
    assert content["churn"]["seed"] is None
    assert content["churn"]["noise"]["pairs"] > 0
    assert content["std"]["noise"]["pooled"]["dof"] > 0
    assert content["variance"]["batch_order"] is None
    assert content["variance"]["quality"]["batch_order"] is None
    assert content["least_detectable_gain"] is None
    assert content["seed_decides"] == "initialisation and batch order"


def test_the_verdict_says_each_source_with_its_interval_and_which_show_nothing(study):
    content = study.results().as_json()
    part, quality = content["sources"]["init"], content["sources"]["init"]["quality"]
    lucks = [f"{content['sources'][name]['luck']:.2f}" for name in ("init", "order", "last_bit", "interaction")]
    assert (
        f"On an unlimited test set initialisation would move test accuracy by {quality['std']:.2f} points "
        f"({quality['lower']:.2f} to {quality['upper']:.2f}), batch order by "
    ) in content["verdict"]
    assert "The runs show a difference in quality by initialisation" in content["verdict"]
    assert f"On these 400 examples initialisation moves it by {part['std']:.2f} points (" in content["verdict"]
    assert (
        f"; independent errors alone would give {', '.join(lucks[:3])} and {lucks[3]}, in this order."
        in content["verdict"]
    )
    churn = content["churn"]["noise"]["mean"]
    assert f"The last bit alone changes {percent(churn / 100)} of the predictions." in content["verdict"]
    assert "24 runs leave wide intervals; 54 new runs would narrow them." in content["verdict"]


def test_what_is_not_known_is_null_and_says_why(tmp_path):
    content = finished(tmp_path / "study", vary=("init", "order"), runs=14).results().as_json()
    sources, missing = content["sources"], content["design"]["missing"]
    assert sources["last_bit"] is sources["interaction"] is None
    assert sources["remainder"]["std"] >= 0
    assert missing["last_bit"] == "without repeats it is not told from the interaction: both are in the remainder"
    assert missing["interaction"] == "without repeats it is not told from the last bit: both are in the remainder"
    assert "the interaction and last bit by" in content["verdict"]


def test_a_single_source_is_split_from_the_last_bit(tmp_path):
    function = partial(single, std=2.0)
    function.settings, function.sources = {"name": "single"}, {"init": "", "order": ""}
    content = finished(tmp_path / "study", function, vary=("init", "last-bit"), runs=40).results().as_json()
    assert content["sources"]["interaction"] is None
    assert content["design"]["missing"]["interaction"] == "a single source has none"
    assert content["design"]["missing"]["order"] == "it keeps one seed in all runs"
    assert content["design"]["labels"]["order"] == "batch order"
    # 20 draws of a normal with a standard deviation of 2, and pairs that are 1 apart.
    assert content["sources"]["init"]["lower"] < 2 < content["sources"]["init"]["upper"]
    assert content["sources"]["last_bit"]["std"] == pytest.approx(1 / np.sqrt(2))


def single(run, *, std):
    run.log(1, test_accuracy=80 + draw(run.seeds["init"], std=std) + (run.noise.k > 1))


def test_a_source_that_does_not_reach_the_training_is_noticed(tmp_path):
    function = partial(train, dead=True)
    function.settings = {"name": "dead"}
    content = finished(tmp_path / "study", function).results().as_json()
    assert "The seed of batch order does not reach the training: runs that differ in nothing" in content["verdict"]
    assert "Batch order, the last bit and the interaction left it as it was." in content["verdict"]
    assert "seem to reach" not in content["verdict"]  # it is known for sure
    assert " by 0.00" not in content["verdict"]
    assert content["sources"]["order"]["std"] == 0


def heedless(run, *, std=1.0):
    """A number that follows the initialisation alone, without weights or predictions by which runs are recognised."""
    run.log(1, loss=1 + draw(run.seeds["init"], std=std))


def test_without_weights_the_same_number_tells_that_a_seed_reaches_nothing(tmp_path):
    heedless.settings = {"name": "heedless"}
    metric = lb.Metric("loss", "training loss")
    verdict = finished(tmp_path / "study", heedless, vary=("init", "order"), runs=9, metric=metric).results().verdict
    assert "Batch order and the interaction left it as it was; the last bit did not vary." in verdict
    assert (
        "The seed of batch order does not seem to reach the training: runs that differ in nothing else gave the same "
        "training loss, to the last digit."
    ) in verdict
    flat = partial(heedless, std=0.0)
    flat.settings = {"name": "flat"}
    said = finished(tmp_path / "flat", flat, vary=("init", "order"), runs=9, metric=metric).results().verdict
    assert "does not seem to reach" not in said  # a number that never varies tells nothing


def in_fractions(run):
    """The same accuracies, as fractions of 1."""
    log = run.log
    run.log = lambda step, test_accuracy: log(step, test_accuracy=test_accuracy / 100)
    train(run)


def test_an_accuracy_in_fractions_has_its_luck_in_fractions(study, tmp_path):
    metric = lb.Metric("test_accuracy", "test accuracy", "")
    fractions = finished(tmp_path / "study", in_fractions, metric=metric).results().as_json()["sources"]
    percent = study.results().as_json()["sources"]
    for name in ("init", "order", "last_bit"):
        assert percent[name]["luck"] > 0
        assert fractions[name]["luck"] == pytest.approx(percent[name]["luck"] / 100)
        assert fractions[name]["std"] == pytest.approx(percent[name]["std"] / 100)


def lossy(run):
    """Without a value in one cell's run of the second noise and in most cells of the first."""
    if run.noise.k == 1 and (run.seeds["init"], run.seeds["order"]) not in LEFT:
        run.log(1, loss=0.0)
    else:
        run.log(1, test_accuracy=80 + draw(*run.seeds.values()) + (run.noise.k > 1))


LEFT = {(1, 4), (2, 5), (3, 6)}  # no main effect is told from another


def test_without_all_parts_no_share_is_given_and_the_verdict_says_what_is_missing(tmp_path):
    content = finished(tmp_path / "study", lossy, runs=12).results().as_json()
    assert content["sources"]["init"] is None
    assert content["sources"]["last_bit"] is not None
    assert {part["share"] for part in content["sources"].values() if part is not None} == {None}
    assert "Not known: initialisation (too few finished runs tell it from the rest)" in content["verdict"]
    assert "so that no share of the variance is given." in content["verdict"]
    assert "would narrow" not in content["verdict"]


def test_the_pages_of_studies_with_and_without_repeats_say_what_was_varied(study, tmp_path):
    alone = finished(tmp_path / "alone", vary=("init", "order"), runs=9)
    pages = []
    for one in (study, alone):
        write_report([one.results().as_json()], tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text())
    assert "How far does the last bit carry" in pages[0]
    assert "some are run again with nothing changed but the last bit" in pages[0]
    assert "What does each source contribute" in pages[1]
    assert "How far does the last bit carry" not in pages[1]
    assert "nothing changed but" not in pages[1]
    assert "No run was repeated with another last bit alone." in pages[1]
    assert all("batch order changes" not in page for page in pages)


def test_without_repeats_shares_of_sources_and_remainder_add_up(tmp_path):
    sources = finished(tmp_path / "study", vary=("init", "order"), runs=14).results().as_json()["sources"]
    assert sum(part["share"] for part in sources.values() if part is not None) == pytest.approx(1)


def by_cell(run):
    run.log(1, test_accuracy=80 + draw(run.seed))


def test_a_training_that_takes_the_number_of_the_combination_for_a_seed_is_refused(tmp_path):
    """All its spread would count as interaction."""
    with pytest.raises(TrialFailedError, match=r"never read run\.seeds: .*run\.seeds\['init'\], run\.seeds\['order'\]"):
        finished(tmp_path / "study", by_cell)
    assert lb.open_study(tmp_path / "study").stored() == []
    lb.Study(tmp_path / "seeds", by_cell, noises=[lb.Scale(1)], seeds=[1, 2], controlled=False).run()


def test_an_unfinished_study_says_what_its_runs_show(tmp_path):
    study = lb.Study(tmp_path, train, vary=("init", "order", "last-bit"), runs=24, controlled=False)
    content = study.results().as_json()
    assert "Too few finished runs (0) to say what any source contributes." in content["verdict"]
    assert content["sources"]["init"] is None
    assert content["design"]["missing"]["init"] == "too few finished runs tell it from the rest"
    assert "24 runs, 0 trial(s) stored" in repr(study)


def test_a_notebook_shows_the_contributions(study):
    shown = study._repr_html_()
    assert "initialisation" in shown
    assert "on an unlimited test set" in shown


def test_the_sources_whose_runs_few_examples_set_apart_are_named(tmp_path):
    """The initialisation decides on 60 examples or none, and the batch order on three at most."""

    def decided(run):
        wrong = 60 * (run.seeds["init"] % 2) + run.seeds["order"] % 4
        run.log(1, test_accuracy=100 * (EXAMPLES - wrong) / EXAMPLES)
        run.log_predictions((torch.arange(EXAMPLES) < wrong).long(), torch.zeros(EXAMPLES).long())

    results = finished(tmp_path / "study", decided, metric=METRIC).results()
    sources = results.as_json()["sources"]
    assert sources["init"]["quality"]["contested"] >= 50 > sources["order"]["quality"]["contested"] > 0
    (said,) = re.findall(
        r"Only [^.]* examples set runs that differ by ([^:]*) apart: (?:its|their) interval", results.verdict
    )
    assert "batch order" in said
    assert "initialisation" not in said
