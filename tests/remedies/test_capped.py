"""On quadratics a cap keeps training stable just where the edge of stability says, and steps stay the optimizer's."""

import math

import pytest
import torch
from torch import nn

import lastbit as lb

CURVATURES = (7.0, 2.0, 0.5)


class Quadratic(nn.Module):
    """L = (1/2) (sum_i c_i x_i^2 + y^2), the loss as a mean over one sample."""

    def __init__(self, curvatures=CURVATURES):
        super().__init__()
        self.x = nn.Parameter(torch.ones(len(curvatures), dtype=torch.float64))
        self.y = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.register_buffer("c", torch.tensor(curvatures, dtype=torch.float64))

    def forward(self, _):
        return ((self.c * self.x**2).sum() + self.y**2).reshape(1) / 2


def loss(outputs, _):
    return outputs.mean()


BATCH = (torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1))


def descended(margin, optimizer_of, steps=300, **options):
    model = Quadratic()
    optimizer = optimizer_of(model)
    if margin is not None:
        optimizer = lb.remedies.Capped(optimizer, model, loss, BATCH, margin=margin, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(BATCH[0]), None).backward()
        optimizer.step()
    return float(model.x.detach().norm()), optimizer


def sgd(lr=10.0, **options):
    return lambda model: torch.optim.SGD([model.x], lr=lr, **options)


@pytest.mark.parametrize(
    "optimizer_of",
    [
        sgd(),
        sgd(weight_decay=0.3),
        sgd(momentum=0.9),
        sgd(momentum=0.9, nesterov=True),
        lambda model: torch.optim.SGD([{"params": [model.x], "lr": 4.0}, {"params": [model.y], "lr": 1e-3}]),
    ],
)
def test_below_the_edge_a_quadratic_is_stable_and_above_it_is_not(optimizer_of):
    below, capped = descended(0.95, optimizer_of, steps=400)
    assert below < 1e-8
    # A margin above 1 is refused, so the same learning rate is taken by hand, 1.05 times the edge.
    rate = capped.latest[0].lr / 0.95 * 1.05
    assert capped.param_groups[0]["lr"] in (10.0, 4.0)  # the schedule's own
    above = Quadratic()
    plain = optimizer_of(above)
    plain.param_groups[0]["lr"] = rate
    for _ in range(400):
        plain.zero_grad()
        loss(above(BATCH[0]), None).backward()
        plain.step()
    assert not float(above.x.detach().norm()) < 1e8


@pytest.mark.parametrize(("decay", "momentum"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.9)])
def test_the_cap_is_its_closed_form(decay, momentum):
    _, capped = descended(0.8, sgd(weight_decay=decay, momentum=momentum), steps=1)
    (cap,) = capped.latest
    # Measured within 5 % from above.
    assert max(CURVATURES) + decay <= cap.sharpness <= 1.05 * (max(CURVATURES) + decay)
    assert cap.lr == pytest.approx(0.8 * 2 * (1 + momentum) / cap.sharpness)


def test_decoupled_weight_decay_counts_against_the_cap():
    _, capped = descended(0.5, lambda model: torch.optim.AdamW([model.x], lr=1.0, weight_decay=0.2), steps=3)
    (cap,) = capped.latest
    units = 2 * 1.9 / 0.1
    assert cap.step == 1  # at the first step there was no preconditioner yet
    assert cap.lr == pytest.approx(units / (cap.sharpness / 0.5 + 0.2 * units / 2))
    edge = (units - units / 2 * cap.lr * 0.2) / cap.lr
    assert cap.sharpness == pytest.approx(0.5 * edge)


def test_groups_are_capped_by_their_own_curvature():
    def groups(model):
        return torch.optim.SGD([{"params": [model.x]}, {"params": [model.y]}], lr=10.0)

    _, capped = descended(0.9, groups, steps=1)
    assert [round(cap.sharpness, 6) for cap in capped.latest] == [7.0, 1.0]
    assert [cap.lr for cap in capped.latest] == [pytest.approx(0.9 * 2 / 7), pytest.approx(0.9 * 2)]


def test_below_the_cap_steps_are_the_optimizer_s_own():
    plain = descended(None, sgd(lr=0.05, momentum=0.9), steps=40)
    capped = descended(0.9, sgd(lr=0.05, momentum=0.9), steps=40, every=7)
    assert plain[0] == capped[0]
    assert [cap.step for cap in capped[1].caps] == [0, 7, 14, 21, 28, 35]


def test_where_the_loss_curves_downwards_nothing_is_capped():
    model = nn.Linear(1, 1, bias=False).double()
    capped = lb.remedies.Capped(
        torch.optim.SGD(model.parameters(), lr=0.1),
        model,
        lambda y, _: -(y**2).mean(),
        (torch.ones(1, 1).double(),) * 2,
    )
    (-(model(torch.ones(1, 1).double()) ** 2).mean()).backward()
    capped.step()
    assert [cap.lr for cap in capped.latest] == [math.inf]


def test_schedules_tensors_and_closures_work():
    model = Quadratic()
    inner = torch.optim.SGD([model.x], lr=torch.tensor(10.0), foreach=False)
    capped = lb.remedies.Capped(inner, model, loss, BATCH, margin=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(capped, 1, gamma=0.5)

    def closure():
        capped.zero_grad()
        value = loss(model(BATCH[0]), None)
        value.backward()
        return value

    before = model.x.detach().clone()
    assert capped.step(closure).item() == pytest.approx((sum(CURVATURES) + 1) / 2)
    cap = capped.latest[0].lr
    torch.testing.assert_close(model.x.detach(), before * (1 - cap * model.c), rtol=1e-6, atol=1e-6)
    schedule.step()
    assert float(inner.param_groups[0]["lr"]) == 5.0


def test_a_checkpoint_brings_the_caps():
    _, capped = descended(0.9, sgd(momentum=0.5), steps=10)
    model = Quadratic()
    again = lb.remedies.Capped(sgd(momentum=0.5)(model), model, loss, BATCH, margin=0.9)
    again.load_state_dict(capped.state_dict())
    assert again.latest == capped.latest
    loss(model(BATCH[0]), None).backward()
    again.step()
    assert len(again.caps) == 1  # measured again only 50 steps after the last time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, "margin = 0.0: a cap is above 0 and at most 1"),
        ({"margin": 1.1}, "margin = 1.1"),
        ({"every": 0}, "every = 0: measure every 1, 2, 3"),
        ({"every": 2.5}, "every = 2.5"),
    ],
)
def test_wrong_options_of_a_cap_are_refused(options, message):
    model = Quadratic()
    with pytest.raises(lb.LastbitError, match=message):
        lb.remedies.Capped(sgd()(model), model, loss, BATCH, **options)


def test_what_has_no_edge_is_refused():
    model = Quadratic()
    with pytest.raises(lb.LastbitError, match="Adadelta"):
        lb.remedies.Capped(torch.optim.Adadelta([model.x]), model, loss, BATCH)
    capped = lb.remedies.Capped(sgd()(model), model, loss, BATCH)
    with pytest.raises(lb.LastbitError, match="takes no more parameter groups"):
        capped.add_param_group({"params": [model.y]})
