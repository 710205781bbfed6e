"""The average is the closed form of the weights it was shown, and evaluating it leaves the training alone."""

import pytest
import torch
from torch import nn

import lastbit as lb


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).double()


def trained(model, average=None, steps=7, batches=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(1)
    history = []
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3, dtype=torch.float64)).square().mean().backward()
        optimizer.step()
        history.append([parameter.detach().clone() for parameter in model.parameters()])
        if average is not None:
            average.update()
            if step % 3 == 2:
                with average.applied(batches) as applied:
                    applied.eval()
                    applied(torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator()))
                model.train()
    return history


@pytest.mark.parametrize("decay", [0.6, 0.999])
def test_an_exponential_average_is_its_closed_form(decay):
    model = network()
    average = lb.remedies.Average(model, decay=decay)
    history = trained(model, average)
    for place, averaged in enumerate(average.averaged.parameters()):
        seen = [weights[place] for weights in history]
        expected = decay**6 * seen[0] + sum((1 - decay) * decay ** (6 - t) * seen[t] for t in range(1, 7))
        torch.testing.assert_close(averaged, nn.Parameter(expected), rtol=1e-13, atol=1e-15)
    assert average.updates == 7


def test_a_uniform_average_is_the_mean():
    model = network()
    average = lb.remedies.Average(model, decay=None)
    history = trained(model, average)
    for place, averaged in enumerate(average.averaged.parameters()):
        mean = torch.stack([weights[place] for weights in history]).mean(0)
        # Torch's sum divides by the count in float32.
        torch.testing.assert_close(averaged, nn.Parameter(mean), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("recomputed", [False, True])
def test_training_goes_on_as_if_nothing_had_been_averaged(recomputed):
    batches = [torch.randn(8, 3, dtype=torch.float64) for _ in range(3)] if recomputed else None
    watched, plain = network(), network()
    trained(watched, lb.remedies.Average(watched), batches=batches)
    drawn = torch.rand(1)
    trained(plain)
    assert torch.equal(drawn, torch.rand(1))
    for one, other in zip(watched.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_statistics_of_batch_norm_are_those_of_the_averaged_weights_and_modes_stay():
    model = network()
    model[1].momentum = 0.3
    model[0].eval()  # a part that somebody froze
    average = lb.remedies.Average(model)
    average.update()
    inputs = torch.randn(64, 3, dtype=torch.float64)
    with average.applied([(inputs, None)]):
        hidden = model[0](inputs)
        torch.testing.assert_close(model[1].running_mean, hidden.mean(0).detach())
        torch.testing.assert_close(model[1].running_var, hidden.var(0).detach())
        assert [module.training for module in model] == [False, True, True, True]
        assert model[1].momentum == 0.3


def test_a_failing_evaluation_and_a_failing_batch_put_everything_back():
    model = network()
    average = lb.remedies.Average(model, decay=0.5)
    trained(model, average)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    with pytest.raises(RuntimeError), average.applied([torch.zeros(8, 5)]):
        pass
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert (model[1].momentum, model[1].training) == (0.1, True)


def test_a_checkpoint_goes_on_where_it_was():
    model = network()
    average = lb.remedies.Average(model, decay=0.5)
    trained(model, average)
    again = lb.remedies.Average(network(), decay=0.5)
    again.load_state_dict(average.state_dict())
    assert again.updates == 7
    assert all(map(torch.equal, again.averaged.parameters(), average.averaged.parameters()))


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_decay_outside_of_0_to_1_is_refused(decay):
    with pytest.raises(lb.LastbitError, match=r"an exponential average has a decay above 0 and below 1"):
        lb.remedies.Average(network(), decay=decay)


def test_an_average_of_nothing_is_refused():
    with pytest.raises(lb.LastbitError, match="there is no average yet"), lb.remedies.Average(network()).applied():
        pass
