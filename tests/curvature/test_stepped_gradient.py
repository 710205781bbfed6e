"""Rows say where the gradient that is stepped is not that of the monitored loss, and say nothing where it is."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature import SharpnessRow
from lastbit.curvature.stepped_gradient import SteppedGradient, noted

X = torch.randn(48, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(48) % 3


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def parts(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(X.split(48 // count), Y.split(48 // count), strict=True)


def mean_of_all(model: nn.Module) -> None:
    cross_entropy(model(X), Y).backward()


def mean_of_parts(model: nn.Module) -> None:
    for x, y in parts(4):
        (cross_entropy(model(x), y) / 4).backward()


def sum_of_parts(model: nn.Module) -> None:
    for x, y in parts(4):
        cross_entropy(model(x), y).backward()


def scaled(model: nn.Module) -> None:
    (1024 * cross_entropy(model(X), Y)).backward()


def clipped(model: nn.Module) -> None:
    cross_entropy(model(X), Y).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def rows(
    collect: Callable[[nn.Module], Any], *, optimizer: Any = torch.optim.SGD, **options: Any
) -> list[SharpnessRow]:
    model = network()
    stepping = optimizer(model.parameters(), lr=0.01)
    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), stepping, lb.every(1), **options) as monitor:
        for _ in range(4):
            stepping.zero_grad()
            collect(model)
            stepping.step()
    return list(monitor.rows)


@pytest.mark.parametrize("collect", [mean_of_all, mean_of_parts])
def test_nothing_is_reported_of_the_monitored_losss_own_gradient(collect: Callable[[nn.Module], Any]) -> None:
    for row in rows(collect):
        assert row.note == ""
        assert (row.stepped_ratio, row.stepped_cosine) == (pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_gradients_that_are_added_up_are_noticed_at_the_first_row(optimizer: Any) -> None:
    row = rows(sum_of_parts, optimizer=optimizer)[0]
    assert row.stepped_ratio == pytest.approx(4)
    assert row.note.startswith("the stepped gradient is 4 times that of the monitored loss")
    assert f"edge is about {row.edge / 4:.4g}, and normalised {4 * row.normalised:.4g}" in row.note
    assert row.scalars()["stepped_ratio"] == row.stepped_ratio
    assert row.as_dict()["note"] == row.note


def test_it_is_the_edge_of_what_is_stepped() -> None:
    """On a quadratic: descent diverges although `normalised` is below 2, and four times that is above."""
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets, mse = inputs @ torch.randn(4, 1), nn.functional.mse_loss
    for lr, diverges in ((0.1, False), (0.3, True)):
        torch.manual_seed(1)
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        with lb.SharpnessMonitor(model, mse, (inputs, targets), optimizer, {1, 20}.__contains__) as monitor:
            for _ in range(20):
                optimizer.zero_grad()
                for x, y in zip(inputs.split(16), targets.split(16), strict=True):
                    mse(model(x), y).backward()
                optimizer.step()
        first, last = monitor.rows
        assert first.normalised < 2
        assert f"normalised {4 * first.normalised:.4g}" in first.note
        assert (4 * first.normalised > 2) == diverges == (last.loss > first.loss)


def test_a_scaled_loss_and_clipping_are_noticed() -> None:
    assert rows(scaled)[0].note.startswith("the stepped gradient is 1024 times")
    row = rows(clipped)[0]
    assert "times that of the monitored loss (clipping or a scaled loss)" in row.note
    assert row.stepped_ratio < 0.5


def test_clipping_of_other_batches_is_noticed_by_its_norm() -> None:
    picks = iter(torch.randperm(48, generator=torch.Generator().manual_seed(2)).split(12))

    def some(model: nn.Module) -> None:
        chosen = next(picks)
        cross_entropy(model(X[chosen]), Y[chosen]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.001)

    notes = [row.note for row in rows(some)]
    assert notes[:2] == ["", ""]
    assert "has the norm 0.001 at every row, as where it is clipped" in notes[-1]


@pytest.mark.parametrize("factor", [1, 4])
def test_sums_over_shuffled_batches_are_told_from_noise(factor: int) -> None:
    generator = torch.Generator().manual_seed(3)

    def some(model: nn.Module) -> None:
        for chosen in torch.randperm(48, generator=generator)[:24].split(24 // factor):
            cross_entropy(model(X[chosen]), Y[chosen]).backward()

    notes = [row.note for row in rows(some)]
    if factor == 1:
        assert notes == [""] * 4
    else:
        assert "times as long on average, as where accumulated gradients are added up" in notes[-1]


def test_a_loss_that_is_maximised_is_reported() -> None:
    def ascend(model: nn.Module) -> None:
        for x, y in list(parts(2))[:1]:
            (-cross_entropy(model(x), y)).backward()

    assert "points against that of the monitored loss" in rows(ascend)[-1].note


def test_other_batches_raise_no_false_alarm() -> None:
    """Trainings on batches of four, whatever their seed, with the first eight samples monitored."""
    for seed in range(6):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        with lb.SharpnessMonitor(model, cross_entropy, (X[:8], Y[:8]), optimizer, lb.every(9)) as monitor:
            for _ in range(45):
                chosen = torch.randint(48, (4,))
                optimizer.zero_grad()
                cross_entropy(model(X[chosen]), Y[chosen]).backward()
                optimizer.step()
        assert [row.note for row in monitor.rows] == [""] * 5


def test_a_row_without_a_step_has_nothing_to_compare() -> None:
    model = network()
    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), torch.optim.SGD(model.parameters(), lr=0.1)) as monitor:
        row = monitor.measure()
    assert math.isnan(row.stepped_ratio)
    assert row.note == ""
    assert "stepped_ratio" not in row.scalars()


def test_later_rows_are_compared_now_and_then() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), optimizer, lb.every(1)) as monitor:
        for _ in range(12):
            optimizer.zero_grad()
            sum_of_parts(model)
            optimizer.step()
    compared = [row.step for row in monitor.rows if not math.isnan(row.stepped_ratio)]
    assert compared == [1, 2, 3, 4, 5, 11]
    for row in monitor.rows:
        last = max(step for step in compared if step <= row.step)
        when = "" if row.step == last else f"at step {last}, the last at which it was compared: "
        assert row.note.startswith(f"{when}the stepped gradient is 4 times")
        assert ("edge is about" in row.note) == (row.step == last)


def test_the_closure_of_a_step_is_compared_too() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 3 * cross_entropy(model(X), Y)
        loss.backward()
        return loss

    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), optimizer, lb.every(1)) as monitor:
        optimizer.step(closure)
    assert monitor.rows[0].stepped_ratio == pytest.approx(3)


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_lagging_running_statistics_are_named_first(scale: float) -> None:
    """A network trained on the monitored batch itself: nothing is added up, and nothing is scaled."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(3)
    means, targets = torch.randn(10, 20), torch.randint(0, 10, (256,), generator=generator)
    inputs = scale * (0.3 * means[targets] + torch.randn(256, 20, generator=generator))
    layers = nn.Linear(20, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    due = {1, 2, 3, 5}.__contains__
    with lb.SharpnessMonitor(model, cross_entropy, (inputs, targets), optimizer, due, tol=0.05) as monitor:
        for _ in range(5):
            optimizer.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    notes = [row.note for row in monitor.rows]
    if scale == 1:
        assert notes == [""] * 4
    else:
        assert all("as where running statistics of batch normalisation lag behind" in note for note in notes[2:])


def test_a_step_that_raises_leaves_nothing_to_compare_later() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    asked = iter([True, False, True])  # the first is asked for the step that raises

    def failing() -> Tensor:
        raise RuntimeError("out of memory")

    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), optimizer, lambda step: next(asked)) as monitor:
        with pytest.raises(RuntimeError, match="out of memory"):
            optimizer.step(failing)
        for _ in range(2):
            optimizer.zero_grad()
            mean_of_all(model)
            optimizer.step()
    assert [row.step for row in monitor.rows] == [2]
    assert monitor.rows[0].note == ""
    assert len(monitor._comparisons._seen) == 1


def test_steps_that_a_fused_optimizer_skips_for_its_scaler_are_not_counted() -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with lb.SharpnessMonitor(model, cross_entropy, (X, Y), optimizer, lb.every(1)) as monitor:
        for step in range(4):
            optimizer.zero_grad()
            loss = cross_entropy(model(X), Y)
            scaler.scale(math.inf * loss if step == 2 else loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert monitor.step == 3 == int(next(iter(optimizer.state.values()))["step"])
    assert [row.step for row in monitor.rows] == [1, 2, 3]
    assert [row.note for row in monitor.rows] == [""] * 3


def test_one_weight_always_points_along_and_says_nothing() -> None:
    """Trained on other samples than the monitored ones, whose gradient is another number of the same sign."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer, mse = torch.optim.SGD(model.parameters(), lr=0.01), nn.functional.mse_loss
    inputs, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0]])
    with lb.SharpnessMonitor(model, mse, (inputs[:1], targets[:1]), optimizer, lb.every(1)) as monitor:
        mse(model(inputs), targets).backward()
        optimizer.step()
    row = monitor.rows[0]
    assert (row.stepped_ratio, row.stepped_cosine, row.note) == (pytest.approx(2.5), pytest.approx(1), "")


def seen(ratios: list[float], cosine: float) -> list[SteppedGradient]:
    return [SteppedGradient(ratio, cosine - 0.01 * place, 1.0 + place, 99) for place, ratio in enumerate(ratios)]


def test_what_rows_that_scatter_do_not_show_is_not_said() -> None:
    assert "times as long on average" in noted(seen([4, 4.4, 4.2], 0.9))
    assert noted(seen([0.6, 0.7, 6], 0.9)) == ""  # 2.2 on average, and as likely 1
    alike = [SteppedGradient(ratio, 0.9995, ratio, 99) for ratio in (1.01, 1.2, 1.3)]
    assert noted(alike) == ""  # in narrow precision only a factor that stays is one
    assert noted([SteppedGradient(2, 0.9995, 1.0 + place, 99) for place in range(3)]).startswith(
        "the stepped gradient is 2"
    )
