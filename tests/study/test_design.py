"""Which runs a study makes that varies several sources, and that it is known again."""

import pickle

import pytest
import torch

import lastbit as lb
from lastbit.errors import LastbitTypeError
from lastbit.report.study import write_report
from lastbit.storage.files import write_checksummed
from lastbit.study import Trial
from lastbit.study.check import check_study
from lastbit.study.design import choose_design, design_from_json, design_noises

KNOWN = {"init": "", "order": "", "augmentation": "data.augment is false", "dropout": "no network has it"}


def train(run):
    """No network: the weights are what the seeds and the noise say."""
    weight = torch.nn.Parameter(torch.linspace(0, 1, 500) + sum(run.seeds.values()))
    optimizer = lb.perturb(torch.optim.SGD([weight], lr=0.3), run.noise)
    weight.grad = torch.linspace(0.1, 0.9, 500)
    optimizer.step()
    run.snapshot(1, {"weight": weight})
    run.log(1, loss=float(weight.detach().double().sum()), init=run.seeds["init"], order=run.seeds["order"])


def study_in(directory, **options):
    options = {"vary": ["init", "order", "last-bit"], "runs": 14, "metric": lb.Metric("loss", "loss")} | options
    return lb.Study(directory, train, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    study = study_in(tmp_path_factory.mktemp("design") / "study")
    study.run()
    return study


def test_ids_are_those_of_before_where_sources_have_no_seeds_of_their_own():
    """Computed before trials had seeds by source: finished studies are found by them."""
    settings = {"name": "mine", "lr": 0.1}
    assert Trial(settings, 3, lb.Scale(5)).id == "455d27b8b0bf4c41"
    assert Trial(settings, 3, lb.Scale(1), 1).id == "0fc8e95c6dcc7de6"
    assert Trial(settings, 3, lb.Scale(5), seeds={}).id == "455d27b8b0bf4c41"
    assert "seeds" not in Trial(settings, 3, lb.Scale(5)).as_json()


def test_sources_whose_seeds_change_nothing_are_found_by_the_cells_that_differ_in_them_alone():
    design = choose_design(["init", "order"], 9)
    by_init = [[cell for cell in design.cells if design.at(cell)["init"] == seed] for seed in (1, 2, 3)]
    assert design.without_effect(by_init) == ["order"]
    assert design.without_effect([design.cells]) == ["init", "order"]
    assert design.without_effect([by_init[0]]) == []  # the orders of the other seeds do differ
    assert design.without_effect([]) == []
    three = choose_design(["init", "order", "augmentation"], 25)
    seeds = set(three.seeds["init"])
    by_init = [[cell for cell in three.cells if three.at(cell)["init"] == seed] for seed in seeds]
    assert three.without_effect(by_init) == ["order", "augmentation"]


def test_every_seed_of_a_source_makes_another_trial():
    seeds = ({}, {"init": 1}, {"init": 2}, {"order": 1}, {"init": 1, "order": 1})
    assert len({Trial({}, 1, lb.Scale(1), seeds=each).id for each in seeds}) == 5
    assert Trial({}, 1, lb.Scale(3), seeds={"init": 2, "order": 7}).label == "init 2, order 7, k=3"


def test_two_seeds_meet_once_and_no_two_sources_share_a_seed():
    design = choose_design(["init", "order", "last-bit"], 24, KNOWN)
    assert len(design.places) == 24
    assert (len(design.cells), len(design.repeated)) == (18, 6)
    assert len(set(zip(*design.seeds.values(), strict=True))) == 18
    assert set(design.seeds["init"]) == {1, 2, 3, 4, 5}
    assert set(design.seeds["order"]) == {6, 7, 8, 9, 10}
    assert design.words == (
        "5 seeds of initialisation and 5 seeds of batch order, in 18 combinations; 6 of them run again with another "
        "last bit: 24 runs"
    )
    assert design.absent == {"augmentation": "data.augment is false", "dropout": "no network has it"}
    assert choose_design(["init", "last-bit"], 12, KNOWN).absent["order"] == "it keeps one seed in all runs"


def test_without_the_last_bit_no_run_is_a_repeat():
    design = choose_design(["init", "order"], 24)
    assert (len(design.cells), design.repeated, design.rows) == (24, (), 1)
    assert "the last bit does not vary" in design.words


def test_a_single_source_and_the_last_bit_have_two_runs_of_each_seed():
    design = choose_design(["init", "last-bit"], 12)
    assert design.seeds == {"init": (1, 2, 3, 4, 5, 6)}
    assert design.repeated == (0, 1, 2, 3, 4, 5)


def test_a_design_is_read_back():
    design = choose_design(["order", "init", "last-bit"], 24, KNOWN)
    assert design_from_json(design.as_json()) == design


@pytest.mark.parametrize(
    ("vary", "runs", "message"),
    [
        (["inti", "last-bit"], 24, "there is no such source, did you mean init?"),
        (["zzz", "last-bit"], 24, "there are init, order, augmentation, dropout, last-bit"),
        (["init", "augmentation"], 24, "has none, for data.augment is false; it has init, order and last-bit"),
        (["init", "init"], 24, "init is given twice"),
        (["last-bit"], 24, "a study over seeds shows that already"),
        (["init"], 24, "it cannot be told from the last bit; add last-bit"),
        ([""], 24, "name sources"),
        (["init", "order", "last-bit"], 4, "4 runs are no design for 2 sources: at least 5 are needed"),
        (["init", "order"], 12, "12 runs without repeats are no design for 2 sources: take 9 or 13"),
        (["init", "order", "last-bit"], 0, "0 runs are no design for 2 sources: at least 5 are needed"),
        (["init", "order"], 1, "1 run without repeats is no design for 2 sources: at least 4 are needed"),
        (["init", "last_bit"], 24, "vary last_bit: there is no such source, did you mean last-bit?"),
        ([], 24, "vary names no source: name some, such as init, order, last-bit"),
    ],
)
def test_what_is_no_design_is_refused_in_a_line(vary, runs, message):
    with pytest.raises(lb.LastbitError, match=message):
        choose_design(vary, runs, KNOWN)


@pytest.mark.parametrize(
    ("vary", "word"),
    [
        (["interaction", "order"], "interaction"),
        (["remainder", "order"], "remainder"),
        (["a-b", "a_b"], "a_b"),
        (["init", "initialisation"], "initialisation"),
        (["batch order", "order"], "batch order"),
    ],
)
def test_sources_that_results_would_mistake_for_each_other_are_refused(vary, word):
    with pytest.raises(lb.LastbitError, match=rf"results call .* '{word}' too; choose another name"):
        choose_design([*vary, "last-bit"], 24)


@pytest.mark.parametrize(
    ("vary", "runs", "message"),
    [
        ("init,order", 24, r"vary = 'init,order' is a text: give a list of names"),
        (3, 24, "vary = 3: give a list of names"),
        (["init", 3], 24, "give a list of names"),
        (["init", "order"], 2.5, r"runs = 2\.5: give a whole number of runs, such as 24"),
        (["init", "order"], True, "runs = True: give a whole number"),
    ],
)
def test_what_is_no_list_or_no_number_is_refused_in_a_line(vary, runs, message):
    with pytest.raises(LastbitTypeError, match=message):
        choose_design(vary, runs)


@pytest.mark.parametrize(
    "vary", [["a", "last-bit"], ["a", "b"], [*"abcd"], [*"abcd", "last-bit"], [*"abcdef", "last-bit"]]
)
def test_by_default_24_runs_are_made_or_the_fewest_above_that_are_a_design(vary):
    runs = len(choose_design(vary).places)
    assert runs >= 24
    for fewer in range(24, runs):
        with pytest.raises(lb.LastbitError, match="no design"):
            choose_design(vary, fewer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": [1, 2]}, "give one of them"),
        ({"vary": None}, "for a study that varies several sources"),
        ({"noises": [lb.Scale(1)]}, r"takes 2 to 6 noises, .* got 1 \(k=1\)"),
        ({"noises": [lb.Scale(1), lb.Scale(4)]}, "k=4 changes no bit"),
        ({"noises": [lb.Scale(1), lb.Scale(3), lb.Scale(8)]}, "k=8 changes no bit"),
        ({"noises": [lb.Scale(k) for k in (1, 3, 5, 7, 9, 11, 13)]}, "takes 2 to 6 noises"),
        ({"vary": ["init", "order"], "noises": [lb.Scale(1), lb.Scale(3)]}, "takes one noise"),
    ],
)
def test_options_that_contradict_are_refused(tmp_path, options, message):
    with pytest.raises(lb.LastbitError, match=message):
        study_in(tmp_path / "study", **options)


def test_a_plain_study_still_needs_noises_and_seeds(tmp_path):
    with pytest.raises(lb.LastbitError, match="at least one noise"):
        lb.Study(tmp_path, train, seeds=[1])
    with pytest.raises(lb.LastbitError, match="at least one seed"):
        lb.Study(tmp_path, train, noises=[lb.Scale(1)])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([lb.Ulp(None), lb.Ulp(1)], [lb.Ulp(None), lb.Ulp(1), lb.Ulp(2), lb.Ulp(3)]),
        ([lb.Scale(1), lb.Scale(3)], [lb.Scale(1), lb.Scale(3), lb.Scale(5), lb.Scale(7)]),
        ([lb.Scale(1), lb.Scale(5), lb.Scale(3)], [lb.Scale(1), lb.Scale(5), lb.Scale(3), lb.Scale(7)]),
        ([lb.Scale(1), lb.Scale(6)], [lb.Scale(1), lb.Scale(6), lb.Scale(7), lb.Scale(9)]),
        (
            [lb.Rounding(0.0, 0), lb.Rounding(0.1, 8)],
            [lb.Rounding(p, s) for p, s in ((0.0, 0), *((0.1, s) for s in (8, 9, 10)))],
        ),
        ([lb.Ulp(None), lb.Ulp(2**63 - 1)], [lb.Ulp(None), lb.Ulp(2**63 - 1)]),
    ],
)
def test_every_repeat_has_a_noise_of_its_own(given, expected):
    """The last seed that there is has no next one: its repeats share it."""
    design, noises = design_noises(choose_design(["init", "last-bit"], 6), given)
    assert list(noises) == expected
    assert design.noises == ((1, 2, 3) if len(expected) == 4 else (1, 1, 1))
    assert design.rows == len(expected)
    assert design_from_json(design.as_json()) == design


def test_the_k_of_24_runs_are_those_of_the_odd_numbers(tmp_path):
    study = study_in(tmp_path, runs=24)
    assert [noise.k for noise in study.noises] == [1, 3, 5, 7, 9, 11, 13]
    assert sorted(trial.noise.k for trial in study.trials()) == [1] * 18 + [3, 5, 7, 9, 11, 13]
    assert study.design.has(2, 1 + study.design.repeated[1])
    assert not study.design.has(1, 1 + study.design.repeated[1])


def test_a_design_of_before_repeats_had_noises_of_their_own_is_still_read(finished):
    description = {name: part for name, part in finished.description()["design"].items() if name != "noises"}
    design = design_from_json(description)
    assert design.rows == 2
    assert design.places[-5:] == [(1, cell) for cell in finished.design.repeated]


def test_every_run_has_the_seeds_of_its_cell_and_only_repeats_have_another_noise(finished):
    assert len(finished.trials()) == 14
    grid = finished.grid()
    assert sorted(grid.stored) == sorted(finished.design.places)
    for (_, cell), trial in grid.stored.items():
        assert {name: trial.final(name) for name in ("init", "order")} == finished.design.at(cell + 1)
    for noise, cell in finished.design.places[9:]:
        assert noise > 0
        assert grid.stored[0, cell].weight_sums != grid.stored[noise, cell].weight_sums


def test_a_study_is_known_again_and_runs_only_what_is_missing(finished, tmp_path):
    opened = lb.open_study(finished.store.root)
    assert opened.design == finished.design
    assert list(opened.design.seeds) == ["init", "order"]
    assert opened.pending() == []
    assert opened.results().as_json() == finished.results().as_json()
    assert check_study(finished.store.root).is_sound
    again = study_in(tmp_path / "again")
    ended = []

    def stop_after_three(outcome):
        ended.append(outcome)
        if len(ended) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.run(on_trial=stop_after_three)
    left = len(again.pending())
    assert left == 16 - 3
    study_in(tmp_path / "again").run(on_trial=ended.append)
    assert len(ended) == 16
    assert again.grid().values("loss").tobytes() == finished.grid().values("loss").tobytes()


def test_a_trial_travels_to_workers_with_its_seeds(finished):
    for trial in finished.trials():
        assert pickle.loads(pickle.dumps(trial)) == trial


def test_an_altered_design_is_no_study(finished):
    description = finished.description()["design"]
    for change in (
        {"repeated": [99]},
        {"noises": [1]},
        {"noises": [0] * 5},
        {"seeds": {"init": [1], "order": [1, 2]}},
        {"vary": ["init"]},
        {"absent": []},
    ):
        with pytest.raises(TypeError):
            design_from_json({**description, **change})


@pytest.mark.parametrize("change", [{"seeds": [7]}, {"noises": [{"kind": "scale", "k": 1}]}, {"design": None}])
def test_a_description_with_a_design_of_another_table_is_refused(finished, tmp_path, change):
    (tmp_path / "trials").mkdir()
    write_checksummed(tmp_path / "study.json", {**finished.description(), **change})
    with pytest.raises(lb.LastbitError, match=r"study\.json does not describe a study"):
        lb.open_study(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": None},
        {"noises": []},
        {"seeds": [3]},
        {"design": {"seeds": {}}},
        {"design": {"noises": [1]}},
        {"design": {"noises": [9] * 5}},
        {"sources": {"init": {"std": -1.0, "lower": 0.0, "upper": 1.0, "share": None, "luck": None}}},
    ],
)
def test_results_that_were_altered_have_no_page(finished, tmp_path, change):
    content = finished.results().as_json()
    write_report([content], tmp_path / "page.html")
    if "design" in change:
        change = {"design": {**content["design"], **change["design"]}}
    with pytest.raises(lb.LastbitError, match="these are not the results of a study"):
        write_report([{**content, **change}], tmp_path / "page.html")


def test_it_is_not_compared(finished):
    for one in (finished, finished.results(), finished.store.root):
        with pytest.raises(lb.LastbitError, match="compare studies over --seeds"):
            lb.compare(one, [1.0, 2.0])
