from hypothesis import given
from hypothesis import strategies as st

from lastbit.execution.jobs import SeedGroups
from lastbit.noise import Scale
from lastbit.study.trial import Trial

SEEDS, KS = (4, 1, 7, 2), (1, 3, 5)


def trial(seed, k, replica=0):
    return Trial({}, seed, Scale(k), replica)


def controls(seed):
    return [trial(seed, 1), trial(seed, 1, 1), trial(seed, 2)]


def make(owners=None, stored=()):
    waiting = {seed: [t for k in KS if (t := trial(seed, k)) not in stored] for seed in SEEDS}
    return SeedGroups(waiting, owners or {}, lambda seed: [t for t in controls(seed) if t not in stored])


def labels(groups, bits):
    return [found.label for found in iter(lambda: groups.next_for(bits), None)]


def test_one_group_runs_the_controls_first_and_then_seed_after_seed():
    groups = make()
    assert labels(groups, "a") == [
        *("seed 4, k=1", "seed 4, k=1, repeat 1", "seed 4, k=2", "seed 4, k=3", "seed 4, k=5"),
        *(f"seed {seed}, k={k}" for seed in (1, 7, 2) for k in KS),
    ]
    assert groups.is_empty
    assert groups.firsts == {"a": 4}


def test_a_group_keeps_to_seeds_of_its_own_and_runs_controls_in_its_first():
    groups = make()
    assert groups.next_for("a").label == "seed 4, k=1"
    assert groups.next_for("b").label == "seed 1, k=1"
    assert labels(groups, "b")[:4] == ["seed 1, k=1, repeat 1", "seed 1, k=2", "seed 1, k=3", "seed 1, k=5"]
    assert labels(groups, "a") == ["seed 4, k=1, repeat 1", "seed 4, k=2", "seed 4, k=3", "seed 4, k=5"]
    assert groups.firsts == {"a": 4, "b": 1}


def test_a_seed_that_was_begun_is_for_workers_of_its_bits_alone():
    stored = [*controls(1), trial(1, 3)]
    groups = make({1: "a"}, stored)
    assert groups.stranded(["b"]) == {1: "a"}
    assert groups.stranded(["b", "a"]) == {}
    assert not {label for label in labels(groups, "b") if label.startswith("seed 1,")}
    assert not groups.is_empty
    assert labels(groups, "a") == ["seed 1, k=5"]
    assert groups.is_empty
    assert groups.firsts == {"a": 1, "b": 4}


def test_missing_controls_of_a_complete_seed_are_run():
    groups = make({4: "a"}, [trial(4, k) for k in KS])
    assert groups.stranded([]) == {4: "a"}
    assert labels(groups, "a")[:3] == ["seed 4, k=1, repeat 1", "seed 4, k=2", "seed 1, k=1"]


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_whoever_comes_when_no_trial_is_lost_or_doubled_and_no_seed_is_shared(calls):
    groups = make()
    given_out = [(bits, found) for bits in calls if (found := groups.next_for(bits))]
    given_out += [("a", found) for found in iter(lambda: groups.next_for("a"), None)]
    owners = {found.seed: bits for bits, found in given_out}
    assert all(owners[found.seed] == bits for bits, found in given_out)
    left = [found for bits in "bc" for found in iter(lambda bits=bits: groups.next_for(bits), None)]
    every = [found.id for _, found in given_out] + [found.id for found in left]
    assert len(every) == len(set(every))
    expected = {trial(seed, k).id for seed in SEEDS for k in KS}
    expected |= {found.id for seed in groups.firsts.values() for found in controls(seed)}
    assert set(every) == expected
    assert groups.is_empty
