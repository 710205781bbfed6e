"""Parts of a training in float64, against the same arithmetic written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.remedies.float64 import float64_loss
from lastbit.remedies.given import parse_treatment, script_treatments


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 2))


X = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(16) % 2


def test_a_module_computes_as_float64_between_two_casts_bit_for_bit():
    model, plain = lb.remedies.float64(network(), "2*"), network()
    inner = [weight.detach().double().requires_grad_() for weight in plain[2].parameters()]
    hidden = plain[1](plain[0](X))
    wide = torch.tanh(functional.linear(hidden.double(), *inner)).float()
    expected = plain[3](wide)
    given = model(X)
    assert torch.equal(given, expected)
    functional.cross_entropy(given, LABELS).backward()
    functional.cross_entropy(expected, LABELS).backward()
    gradients = [weight.grad for weight in model.parameters()]
    by_hand = [weight.grad for weight in (*plain[0].parameters(), *inner, *plain[3].parameters())]
    assert [gradient.dtype for gradient in gradients] == [torch.float32] * 2 + [torch.float64] * 2 + [torch.float32] * 2
    assert all(map(torch.equal, gradients, by_hand))


def test_a_failing_call_leaves_the_next_one_as_it_was():
    model = lb.remedies.float64(network(), "3")
    expected = model(X)
    with pytest.raises(RuntimeError):
        model[3](torch.ones(2, 5))
    assert torch.equal(model(X), expected)


def test_a_loss_has_the_gradient_of_float64_rounded_once():
    logits = torch.randn(16, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    wide = logits.detach().double().requires_grad_()
    value, exact = float64_loss(functional.cross_entropy)(logits, LABELS), functional.cross_entropy(wide, LABELS)
    value.backward()
    exact.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, exact.float())
    assert torch.equal(logits.grad, wide.grad.float())


def test_an_update_is_that_of_float64_rounded_once():
    weight = nn.Parameter(X[:, 0].clone())
    optimizer = lb.remedies.float64_updates(torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.01))
    value, momentum = weight.detach().clone(), 0
    for step in range(20):
        weight.grad = torch.sin(X[:, 1] + step)
        optimizer.step()
        direction = weight.grad.double() + 0.01 * value.double()
        momentum = 0.9 * momentum + direction
        value = (value.double() - 0.1 * momentum).float()
        assert torch.equal(weight, value)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("9*", "float64 = 9*: the model has no such module: there are 0, 1, 2"), ("2.00", "did you mean 2.0")],
)
def test_a_name_that_no_module_has_is_refused(pattern, message):
    with pytest.raises(LastbitError) as refused:
        lb.remedies.float64(network(), pattern)
    assert message in str(refused.value)


def test_what_is_in_float64_already_is_said():
    with pytest.warns(UserWarning, match="3 is in float64 already"):
        lb.remedies.float64(network().double(), "3")
    optimizer = torch.optim.SGD(network().double().parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="all weights are in float64 already"):
        parse_treatment("float64")[0].on_optimizer(optimizer, None)


def test_in_a_script_losses_and_updates_are_found(monkeypatch):
    monkeypatch.setattr(functional, "cross_entropy", functional.cross_entropy)
    for name in dir(functional):
        if name.endswith("_loss"):
            monkeypatch.setattr(functional, name, getattr(functional, name))
    plain = functional.cross_entropy
    ((remedy,),) = script_treatments(["float64=loss/update"])
    said = remedy.on_program(pytest.fail)
    assert said() == "called no loss of torch.nn.functional: float64=loss/update changed nothing there"
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    remedy.on_made(optimizer)
    logits = model(X)
    loss = nn.CrossEntropyLoss()(logits, LABELS)
    assert torch.equal(loss, plain(logits.double(), LABELS).float())
    loss.backward()
    optimizer.step()
    assert said() == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("float64=head", "head goes by the modules of a model, which a script does not show; loss and update do not"),
        ("float64=loss/", "write loss, update or a module's name, joined by /"),
        ("float64+compensated", "exclude each other"),
    ],
)
def test_what_does_not_go_in_a_script_is_refused(text, message):
    with pytest.raises(LastbitError, match=message):
        script_treatments([text])
