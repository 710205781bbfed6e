"""Networks beside each other, an earlier one and snapshots: closed forms of losses, gradients and predictions."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.remedies.distil import load_teacher
from lastbit.remedies.given import parse_treatment, script_treatments
from lastbit.remedies.remedy import Setting

X = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 4


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4)]
        return nn.Sequential(*layers).double()


def setting():
    return Setting(network(1), functional.cross_entropy, lambda: (X, LABELS), network)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [weight.grad.clone() for weight in model.parameters()]


def test_each_member_of_an_ensemble_learns_as_it_would_alone_and_the_mean_predicts():
    treated = parse_treatment("ensemble=3")[0].on_setting(setting())
    members = treated.model.networks
    assert torch.equal(members[0][0].weight, network(1)[0].weight)
    assert len({member[0].weight[0, 0].item() for member in members}) == 3
    alone = [copy.deepcopy(member) for member in members]
    together = gradients(treated.model, treated.loss(treated.model(X), LABELS))
    apart = [each for member in alone for each in gradients(member, functional.cross_entropy(member(X), LABELS))]
    assert all(map(torch.equal, together, apart))
    treated.model.eval()
    mean = torch.stack([member(X).softmax(-1) for member in members]).mean(0)
    torch.testing.assert_close(treated.model(X), mean.log(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        treated.loss(treated.model(X), LABELS), functional.nll_loss(mean.log(), LABELS), rtol=1e-12, atol=0
    )


def test_two_that_learn_from_each_other_have_the_gradients_of_their_formula():
    treated = parse_treatment("codistil=0.7")[0].on_setting(setting())
    outputs = treated.model(X).detach().requires_grad_()
    one, other = outputs.detach().split(12)
    probabilities = [logits.softmax(-1) for logits in (one, other)]
    targets = functional.one_hot(LABELS).double()
    loss = treated.loss(outputs, LABELS)
    expected = sum(-(targets * p.log()).sum(-1).mean() for p in probabilities)
    expected -= 0.7 * sum((p * q.log()).sum(-1).mean() for p, q in (probabilities, probabilities[::-1]))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    loss.backward()
    by_hand = [(p - targets + 0.7 * (p - q)) / 12 for p, q in (probabilities, probabilities[::-1])]
    torch.testing.assert_close(outputs.grad, torch.cat(by_hand), rtol=1e-10, atol=1e-14)
    first = treated.model.networks[0].eval()
    assert torch.equal(treated.model.eval()(X), first(X))
    assert treated.loss(first(X), LABELS) == functional.cross_entropy(first(X), LABELS)


def stored(tmp_path, model, *, whole):
    if whole:
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"
    save_file({name: weight.detach() for name, weight in model.named_parameters()}, tmp_path / "step.safetensors")
    return tmp_path / "step.safetensors"


@pytest.mark.parametrize("whole", [True, False])
def test_distilling_has_the_loss_and_the_gradient_of_its_formula(tmp_path, whole):
    teacher = network(9)
    for _ in range(3):
        teacher(X)  # statistics of batch norm
    (remedy,) = parse_treatment(f"distil={stored(tmp_path, teacher, whole=whole)}:weight=0.3:temperature=2")
    treated = remedy.on_setting(setting())
    given = teacher.train(not whole)(X).detach()  # a file of weights alone has no statistics
    own = network(1)(X).detach()
    outputs = treated.model(X)
    torch.testing.assert_close(outputs, torch.cat([own, given]), rtol=1e-13, atol=1e-13)
    outputs = outputs.detach().requires_grad_()
    loss = treated.loss(outputs, LABELS)
    p, q = (logits / 2 for logits in (own, given))
    soft = -4 * (q.softmax(-1) * p.log_softmax(-1)).sum(-1).mean()
    expected = 0.7 * functional.cross_entropy(own, LABELS) + 0.3 * soft
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    loss.backward()
    targets = functional.one_hot(LABELS).double()
    by_hand = (0.7 * (own.softmax(-1) - targets) + 0.3 * 2 * (p.softmax(-1) - q.softmax(-1))) / 12
    torch.testing.assert_close(outputs.grad, torch.cat([by_hand, torch.zeros(12, 4)]), rtol=1e-10, atol=1e-14)
    assert [name for name, _ in treated.model.named_parameters()] == [name for name, _ in network(1).named_parameters()]
    treated.model.eval()
    assert len(treated.model(X)) == 12


def test_a_teacher_that_is_none_is_refused_in_a_line(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"12345678")
    save_file(nn.Linear(3, 6).state_dict(), tmp_path / "other.safetensors")
    wrong = network(1).state_dict()
    wrong["3.weight"] = torch.zeros(5, 6)
    save_file(wrong, tmp_path / "wrong.safetensors")
    torch.save(network(1).state_dict(), tmp_path / "pickled.pt")
    for name, message in {
        "none.safetensors": "cannot be read",
        "broken.safetensors": "cannot be read",
        "other.safetensors": "does not hold the weights of this network, by their names",
        "pickled.pt": "cannot be read",
        "wrong.safetensors": r"3.weight is \(5, 6\) there, \(4, 6\) here",
    }.items():
        with pytest.raises(LastbitError, match=message) as refused:
            load_teacher(network(1), tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.warns(UserWarning, match="name a file of weights, as in distil=PATH"):
        parse_treatment("distil")[0].on_setting(setting())


def trained(model, average=None, steps=7):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    states = []
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), LABELS).backward()
        optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
        if average is not None:
            average.update()
            with average.applied() as predictor, torch.no_grad():
                predictor.eval()(X)
            model.train()
    return states


def test_snapshots_predict_their_mean_and_leave_the_training_alone():
    model, plain = network(1), network(1)
    average = lb.remedies.SnapshotAverage(model, last=2, every=2)
    states, expected = trained(model, average), trained(plain)
    assert all(torch.equal(states[-1][name], value) for name, value in expected[-1].items())
    probabilities = []
    for step in (4, 6):
        plain.load_state_dict(expected[step - 1])
        probabilities.append(plain.eval()(X).softmax(-1))
    with average.applied() as predictor:
        torch.testing.assert_close(predictor(X).exp(), sum(probabilities) / 2, rtol=1e-12, atol=1e-14)
    again = lb.remedies.SnapshotAverage(network(2), last=2, every=2)
    with again.applied() as predictor:
        assert predictor is again.model
    again.load_state_dict(average.state_dict())
    with again.applied() as one, average.applied() as other:
        assert torch.equal(one(X), other(X))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ensemble=1", "ensemble: size = 1: write a whole number from 2"),
        ("codistil=0", "codistil: weight = 0: write a positive, finite number"),
        ("distil=a:weight=2", "distil: weight = 2: write a share above 0 and at most 1"),
        ("snapshots=0", "snapshots: last = 0: write a whole number from 1"),
        ("ensemble+codistil", "exclude each other"),
        ("average+snapshots", "exclude each other"),
    ],
)
def test_wrong_options_and_pairs_are_refused_in_a_line(text, message):
    with pytest.raises(LastbitError, match=message):
        parse_treatment(text)


@pytest.mark.parametrize("text", ["ensemble", "codistil", "distil=a.pt", "snapshots"])
def test_a_script_cannot_have_them_from_outside_which_is_said(text):
    with pytest.raises(LastbitError, match=r"cannot be put on a script from outside: (it|a script) "):
        script_treatments([text])
