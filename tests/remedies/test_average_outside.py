"""The average put on a program from outside: evaluated as `Average` by hand does, and nothing else is touched."""

import pytest
import torch
from torch import nn

from lastbit.errors import LastbitError
from lastbit.remedies import Average
from lastbit.remedies.given import parse_treatment, script_treatments


class Wide(nn.Module):
    """With a branch of code of its own, batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def put_on(monkeypatch):
    """Puts a treatment on this process; gives what is called with each optimizer, and what is said in the end."""
    monkeypatch.setattr(nn.Module, "__call__", nn.Module.__call__)
    monkeypatch.setattr(nn.Module, "load_state_dict", nn.Module.load_state_dict)

    def put(text):
        (remedy,) = parse_treatment(text)
        return remedy.on_made, remedy.on_program(pytest.fail)

    return put


X = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))


def trained(made=lambda optimizer: None, evaluate=None, steps=6, after=lambda: None):
    """The model and the optimizer after some steps, and what `evaluate` gave after each."""
    torch.manual_seed(0)
    model = Wide()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    made(optimizer)
    seen = []
    for _ in range(steps):
        loss = model(X).square().mean()
        if evaluate is not None and len(seen) == 2:
            model.eval()
            evaluate(model)  # between a forward and a backward pass
            model.train()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after()
        if evaluate is not None:
            model.eval()
            seen.append(evaluate(model))
            model.train()
    return model, optimizer, seen


@torch.no_grad()
def outputs(model):
    return model(X)


def same(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("text", ["average=0.9", "average=uniform", "average=0.9:start=3"])
def test_a_program_evaluates_what_the_average_by_hand_gives_bit_for_bit(put_on, text):
    (remedy,) = parse_treatment(text)
    by_hand = []

    def begin(optimizer):
        (model,) = [model for model in models if next(model.parameters()) is optimizer.param_groups[0]["params"][0]]
        by_hand.append(remedy.average(model))

    models, construct = [], Wide.__init__

    def noted(self):
        construct(self)
        models.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wide, "__init__", noted)

        def evaluate(model):
            if not by_hand[0].updates:
                return outputs(model)
            with by_hand[0].applied():
                return outputs(model)

        _, _, expected = trained(begin, evaluate, after=lambda: by_hand[0].update())
    made, said = put_on(text)
    _, _, seen = trained(made, outputs)
    assert all(map(torch.equal, seen, expected))
    calls = 3 if "start" in text else 7
    assert said() == (
        f"evaluated averaged weights ({text}) in {calls} calls of a model; "
        "what they saved holds the weights in training"
    )


def test_the_training_goes_on_bit_for_bit_and_what_is_saved_are_its_weights(put_on):
    plain, _, raw = trained(evaluate=outputs)
    saved = []

    def evaluate(model):
        out = outputs(model)
        saved.append({name: value.clone() for name, value in model.state_dict().items()})
        return out

    made, _ = put_on("average=0.5")
    averaged, optimizer, seen = trained(made, evaluate)
    assert same(plain, averaged)
    assert all(torch.equal(saved[-1][name], value) for name, value in plain.state_dict().items())
    assert not torch.equal(raw[-1], seen[-1])
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert len(momenta) == 6


@pytest.mark.parametrize("way", ["no_grad", "inference_mode", "inference_mode in training mode", "of a part"])
def test_each_way_to_evaluate_is_seen_and_no_other(put_on, way):
    made, said = put_on("average=0.5")
    model, _, _ = trained(made)
    raw = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode() if "inference" in way else torch.no_grad():
        model.train("training" in way)
        part = model.head if way == "of a part" else model
        part(torch.ones(2, 6) if way == "of a part" else X)
    assert "in 1 call of a model" in said()
    if "training" not in way:
        assert all(torch.equal(raw[name], value) for name, value in model.state_dict().items())


def test_a_pass_with_gradients_or_in_training_mode_sees_the_weights_as_they_are(put_on):
    made, said = put_on("average=0.5")
    model, _, _ = trained(made)
    with torch.no_grad():
        model(X)  # as activation checkpointing does
    assert said() == ("never called a model after model.eval() and under torch.no_grad(): average=0.5 changed nothing")
    model.eval()
    by_hand = model.head(model.body(X))
    assert torch.equal(model(X), by_hand)
    assert said().startswith("called a model in evaluation mode with gradients on alone")


def test_loaded_weights_are_evaluated_and_a_failing_evaluation_puts_the_weights_back(put_on):
    made, _ = put_on("average=0.5")
    model, _, _ = trained(made)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError), torch.no_grad():
        model.eval()(torch.ones(2, 5))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    averaged = outputs(model)
    model.load_state_dict(before)
    assert torch.equal(outputs(model), model.head(model.body(X)).detach())
    assert not torch.equal(outputs(model), averaged)


def test_another_model_and_a_copy_are_left_alone(put_on):
    made, said = put_on("average=0.5")
    trained(made)
    other = Wide().eval()
    with torch.no_grad():
        assert torch.equal(other(X), other.head(other.body(X)))
    assert "changed nothing" in said()


@pytest.mark.parametrize("mark", ["_is_flat_param", "_fsdp_flattened"])
def test_weights_that_are_split_over_processes_are_refused(put_on, monkeypatch, mark):
    made, _ = put_on("average=0.5")
    model = Wide()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made(optimizer)
    setattr(model.head.weight, mark, True)
    with pytest.raises(pytest.fail.Exception, match="split over processes"):
        optimizer.step()


def test_a_compiled_model_is_evaluated_with_the_average(put_on):
    made, said = put_on("average=0.5")
    model, _, _ = trained(made)
    compiled = torch.compile(model, backend="eager").eval()
    with torch.no_grad():
        assert torch.equal(compiled(X), model(X))
    assert "in 2 calls" in said()


def test_an_average_of_a_script_has_the_options_of_its_remedy():
    assert [remedy.label for (remedy,) in script_treatments(["average=0.99:start=5"])] == ["average=0.99:start=5"]
    with pytest.raises(LastbitError, match="an exponential average has a decay above 0 and below 1"):
        script_treatments(["average=1.5"])


def test_by_hand_the_class_is_the_one_people_use():
    assert isinstance(parse_treatment("average")[0].average(Wide()), Average)
