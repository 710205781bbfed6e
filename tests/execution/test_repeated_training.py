import pytest
import torch
from doctor_faults import RandomInItsProcess, Toy, here

from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.execution.pool import local_pool
from lastbit.execution.repeatability import Condition
from lastbit.execution.repeated_training import Digest, check_trainings
from lastbit.noise import Scale
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining


def outcomes(train, pool=here):
    calls = []
    checks, found = check_trainings(train, device="cpu", pool=pool, on_check=lambda: calls.append(1))
    assert len(calls) == 5
    return {check.name: check for check in checks}, found


def test_a_sound_training_passes_every_check():
    checks, found = outcomes(Toy())
    assert {name: check.outcome for name, check in checks.items()} == {
        **dict.fromkeys(("repeat", "k=2", "k=3", "threads"), Condition.OK)
    }
    with repeatable_numerics():
        assert found == fingerprint()


@pytest.mark.parametrize(
    ("train", "failing", "said"),
    [
        (Toy(fault="unseeded"), {"repeat", "k=2"}, "gave different bits (their fingerprints agree)"),
        (Toy(fault="flushed"), {"k=2"}, "not IEEE 754's"),
        (Toy(noisy=False), {"k=3"}, "no last-bit noise arrives"),
    ],
)
def test_a_planted_fault_is_noticed(train, failing, said):
    checks, _ = outcomes(train)
    assert {name for name, check in checks.items() if check.outcome is Condition.FAILS} == failing
    assert any(said in checks[name].said for name in failing)


def test_a_training_that_fails_is_reported_in_one_line_and_leaves_no_fingerprint():
    checks, found = outcomes(Toy(fault="raises"))
    assert found is None
    assert checks["training"].outcome is Condition.FAILS
    assert "RuntimeError: aten::cumsum has no deterministic kernel here)" in checks["training"].said


def test_threads_that_matter_are_a_note_with_the_reason(monkeypatch):
    """Two threads split a sum elsewhere: here by as many parts as there are threads."""

    class Split(Toy):
        def disturbance(self, run):
            return sum(part.sum() for part in torch.linspace(0, 1e-3, 999).chunk(torch.get_num_threads()))

    checks, _ = outcomes(Split())
    assert checks["threads"].outcome is Condition.NOTE
    assert "lastbit gives each process one" in checks["threads"].said
    assert checks["repeat"].outcome is Condition.OK
    assert torch.get_num_threads() == 1


def test_a_nondeterministic_operation_in_the_demo_is_noticed(monkeypatch):
    relu, drawn = torch.nn.functional.relu, torch.Generator().manual_seed(5)

    def flickering(values, *args, **kwargs):
        return relu(values, *args, **kwargs) + torch.rand((), generator=drawn) * 1e-6

    monkeypatch.setattr(torch.nn.functional, "relu", flickering)
    changes = ("epochs=1", "schedule.milestones=[]", "data.train=128", "data.test=10", "measure.fluctuation_epochs=9")
    training = RecipeTraining(load_recipe("demo", scale="smoke", changes=changes))
    assert outcomes(training)[0]["repeat"].outcome is Condition.FAILS


def test_processes_are_really_two():
    checks, found = outcomes(RandomInItsProcess(), local_pool)
    assert checks["repeat"].outcome is Condition.FAILS
    assert found["threads"] == 1


def test_the_digest_sees_every_bit_it_is_given():
    def digest(value=0.5, label=1, step=1, diverged=False):
        run = Digest(Scale(1))
        run.log(step, loss=value)
        run.snapshot(step, {"w": torch.tensor([value])})
        run.log_predictions(torch.tensor([label]), torch.tensor([0]))
        if diverged:
            run.mark_diverged(step)
        return run.hexdigest()

    others = [digest(0.5000001), digest(label=2), digest(step=2), digest(diverged=True), digest(float("nan"))]
    assert digest() == digest()
    assert len({digest(), *others}) == 6
