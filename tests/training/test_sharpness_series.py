import json
import math

import pytest
import torch
from recorded_run import RecordedRun
from torch.func import functional_call
from torch.nn import functional

from lastbit.curvature import CentralFlow
from lastbit.errors import LastbitError
from lastbit.storage.files import read_checksummed
from lastbit.training.catalogue import load_recipe
from lastbit.training.descent import prepare_descent
from lastbit.training.gradient_flow import GradientFlow
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.sharpness import RESULTS, Measurement, Series, parse_every

DIGITS = ("data.name=digits", "data.train=60", "data.test=20", "model.width=4", "dtype=float64", "optimizer.lr=0.5")
DECAYED = (*DIGITS, "optimizer.weight_decay=0.01")
MINI = ("data.train=256", "data.test=20", "batch_size=64")


def small(*changes):
    return load_recipe("fc-cifar10-5k", changes=(*DIGITS, *changes))


def run(directory, series, steps, on_point=lambda point: None):
    with series.open(directory, steps=steps) as opened:
        return opened.run(on_point=on_point)


def dense_hessian(model, batch):
    """The Hessian of the mean cross-entropy in all parameters, by torch alone."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    sizes = [parameter.numel() for parameter in parameters]

    def loss(flat):
        parts = [part.view_as(parameter) for part, parameter in zip(flat.split(sizes), parameters, strict=True)]
        return functional.cross_entropy(
            functional_call(model, dict(zip(names, parts, strict=True)), batch[0]), batch[1]
        )

    flat = torch.cat([parameter.detach().flatten() for parameter in parameters])
    return torch.autograd.functional.hessian(loss, flat), dict(zip(names, sizes, strict=True))


def test_rows_are_the_dense_hessians_largest_eigenvalues_with_weight_decay():
    prepared = prepare_descent(load_recipe("fc-cifar10-5k", changes=DECAYED))
    measurement = Measurement(prepared, k=2, layers=True)
    for point in prepared.descent.points(6):
        if point.step not in (0, 6):
            continue
        row = measurement.row(point)
        hessian, sizes = dense_hessian(prepared.descent.model, prepared.batch)
        hessian += 0.01 * torch.eye(len(hessian), dtype=torch.float64)
        exact = torch.linalg.eigvalsh(hessian).flip(0)
        assert row.converged
        assert abs(row.sharpness - float(exact[0])) <= row.residual + 1e-12
        assert row.lower <= float(exact[0]) + 1e-12 <= row.upper + 2e-12
        assert row.values == pytest.approx(exact[:2].tolist(), rel=1e-3)
        assert row.edge == 4.0
        assert row.normalised == pytest.approx(0.5 * float(exact[0]), rel=1e-3)
        assert row.loss == point.loss
        blocks = {}
        for (name, size), end in zip(sizes.items(), torch.tensor(list(sizes.values())).cumsum(0).tolist(), strict=True):
            blocks.setdefault(name.rpartition(".")[0], []).extend(range(end - size, end))
        assert set(row.layers) == set(blocks) == {"hidden.0.0", "hidden.1.0", "linear"}
        for name, found in row.layers.items():
            block = hessian[blocks[name]][:, blocks[name]]
            assert found["sharpness"] == pytest.approx(float(torch.linalg.eigvalsh(block)[-1]), rel=1e-3)
            assert found["sharpness"] <= float(exact[0]) + 1e-12


@pytest.mark.parametrize(
    "changes",
    [
        ("optimizer.momentum=0.9",),
        ("optimizer.name=adam", "optimizer.lr=0.01"),
        ("batch_size=16", "schedule.milestones=[1]"),
    ],
)
def test_a_series_that_goes_on_is_the_series_in_one_go(tmp_path, changes):
    series = Series(small(*changes), every="3", images=40)
    whole = run(tmp_path / "whole", series, 12)
    run(tmp_path / "parts", series, 6)
    parts = run(tmp_path / "parts", series, 12)
    assert parts["losses"] == whole["losses"]
    assert [row["step"] for row in parts["rows"]] == [row["step"] for row in whole["rows"]]
    for one, other in zip(parts["rows"], whole["rows"], strict=True):
        # The first search after a pause starts afresh, so the values agree as far as their residuals say.
        assert abs(one["sharpness"] - other["sharpness"]) <= one["residual"] + other["residual"] + 1e-12
        assert (one["loss"], one["edge"]) == (other["loss"], other["edge"])
    first = 1 if "optimizer.name=adam" in changes else 0
    assert [row["step"] for row in whole["rows"]] == sorted({first, 3, 6, 9, 12})


@pytest.mark.parametrize("changes", [(), ("batch_size=16", "optimizer.momentum=0.9", "schedule.milestones=[1]")])
def test_batch_and_critical_sharpness_go_on_as_in_one_go_and_change_no_bit(tmp_path, changes):
    asked = {"every": "3", "images": 40, "critical": True, "batch_sharpness": True}
    series = Series(small(*changes), **asked)
    whole = run(tmp_path / "whole", series, 6)
    run(tmp_path / "parts", series, 3)
    parts = run(tmp_path / "parts", series, 6)
    plain = run(tmp_path / "plain", Series(small(*changes), every="3", images=40), 6)
    assert whole["losses"] == parts["losses"] == plain["losses"]
    first, *later = whole["rows"]
    assert "critical" not in first
    for row, other in zip(whole["rows"], parts["rows"], strict=True):
        assert row["batch"] == other["batch"]
    for row, other in zip(later, parts["rows"][1:], strict=True):
        assert row["critical"]["lower"] <= other["critical"]["multiple"] * 1.07
        assert row["critical"]["lr"] == (0.05 if changes and row["step"] > 3 else 0.5)
        assert row["critical"]["step"] == row["step"]
    batch = later[-1]["batch"]
    if changes:
        assert (batch["samples"], batch["batches"], batch["edge"]) == (16, 32, pytest.approx(2 * 0.1 / 0.05))
        assert batch["lower"] < batch["sharpness"] < batch["upper"]
    else:
        assert (batch["samples"], batch["batches"]) == (60, 1)
        assert "one batch only" in batch["note"]


def test_the_central_flow_goes_on_after_a_pause_and_is_the_one_of_the_library(tmp_path):
    changes = ("data.train=20", "model.width=3", "model.depth=1", "optimizer.lr=0.2")
    series = Series(small(*changes), every="2", central_flow=True)
    whole = run(tmp_path / "whole", series, 4)
    run(tmp_path / "parts", series, 2)
    parts = run(tmp_path / "parts", series, 4)
    for row, other in zip(whole["rows"], parts["rows"], strict=True):
        assert row["central"] == pytest.approx(other["central"], rel=1e-3)
    prepared = prepare_descent(small(*changes))
    point = CentralFlow(prepared.descent.model, prepared.descent.loss, prepared.batch, 0.2).advance(4)
    last = whole["rows"][-1]["central"]
    assert last["predicted_loss"] == pytest.approx(point.predicted_loss)
    assert last["normalised"] == pytest.approx(0.2 * point.sharpness, rel=1e-3)
    assert 0 < last["relative_l2"] < 0.1
    with pytest.raises(LastbitError, match="trains on batches"):
        run(tmp_path / "mini", Series(small("batch_size=10"), central_flow=True), 2)


def test_of_gradient_descent_critical_sharpness_is_a_curvature_of_the_loss_before_the_update():
    """2 / (f lr) of a short step is g'Hg / |g|^2 at the weights before it, and never above the sharpness there."""
    prepared = prepare_descent(load_recipe("fc-cifar10-5k", changes=DIGITS))
    measurement = Measurement(prepared, critical=True)
    before = 0.0
    for point in prepared.descent.points(4):
        if point.step == 3:
            measurement.before_update()
            hessian, _ = dense_hessian(prepared.descent.model, prepared.batch)
            before = float(torch.linalg.eigvalsh(hessian)[-1])
        if point.step == 4:
            row = measurement.row(point)
            assert row.critical["sharpness"] <= before * 1.05
            assert row.critical["step"] == 4


def test_what_is_measured_is_kept_through_a_crash_and_never_measured_again(tmp_path):
    series = Series(small(), every="2", layers=True, flow=True)

    def crash(point):
        if point.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, series, 8, crash)
    kept = (tmp_path / "rows.jsonl").read_bytes()
    assert [json.loads(line)["step"] for line in kept.splitlines()] == [0, 2, 4]
    (tmp_path / "rows.jsonl").write_bytes(kept + b'{"step": 6, "los')  # a line that a power cut left
    seen = []
    content = run(tmp_path, series, 8, lambda point: seen.append(point.step))
    assert seen == [5, 6, 7, 8]
    assert (tmp_path / "rows.jsonl").read_bytes().startswith(kept)
    assert [row["step"] for row in content["rows"]] == [0, 2, 4, 6, 8]
    assert read_checksummed(tmp_path / RESULTS) == content
    straight = run(tmp_path / "straight", series, 8)
    assert content["losses"] == straight["losses"]
    for one, other in zip(content["rows"], straight["rows"], strict=True):
        assert one["flow"]["relative_l2"] == pytest.approx(other["flow"]["relative_l2"], rel=1e-2)
    again = run(tmp_path, series, 8, lambda point: seen.append(point.step))
    assert (again, len(seen)) == (content, 4)
    assert [row["step"] for row in run(tmp_path, series, 4)["rows"]] == [0, 2, 4]


def test_divergence_ends_the_series_with_a_marked_row(tmp_path):
    series = Series(small("optimizer.lr=1e200", "model.activation=relu"), layers=True)
    content = run(tmp_path, series, 50)
    last = content["rows"][-1]
    assert last["diverged"]
    assert 0 < last["step"] < 50
    assert [last[name] for name in ("loss", "sharpness", "normalised", "residual", "lower", "upper")] == [None] * 6
    assert not content["rows"][0]["diverged"]
    assert content["finding"].endswith(f"training diverges at step {last['step']}")
    assert run(tmp_path, series, 50)["rows"] == content["rows"]


def test_measuring_a_network_with_batch_norm_changes_nothing_and_uses_its_running_statistics(tmp_path):
    recipe, recorded = load_recipe("demo", scale="smoke", changes=MINI), RecordedRun(seed=2)
    RecipeTraining(recipe)(recorded)
    prepared = prepare_descent(recipe, seed=2, measured=50)
    measurement = Measurement(prepared)
    for point in prepared.descent.points(8):
        row = measurement.row(point) if point.step in (0, 4, 8) else None
        assert prepared.descent.model.training
        if row is not None:
            images, labels = prepared.batch
            prepared.descent.model.eval()
            with torch.no_grad():
                loss = functional.cross_entropy(prepared.descent.model(images), labels)
            prepared.descent.model.train()
            assert row.loss == float(loss)
            assert row.loss != point.loss
            lr = 0.1 if point.step < 4 else 0.01  # divided after the first epoch
            assert row.edge == pytest.approx((2 + 2 * 0.9) / ((1 + 2 * 0.9) * lr))
    for name, weight in prepared.descent.model.named_parameters():
        assert torch.equal(weight, recorded.weights[8][name])


def test_the_flow_column_is_the_flow_at_time_lr_times_step():
    prepared = prepare_descent(small("optimizer.weight_decay=0.01"))
    start = prepare_descent(small("optimizer.weight_decay=0.01")).descent
    measurement = Measurement(prepared, flow=True)
    rows = [measurement.row(point) for point in prepared.descent.points(6) if point.step in (0, 6)]
    assert rows[0].flow == {"time": 0, "relative_l2": 0, "rel_l1": 0, "evaluations": 0}
    flow = GradientFlow(start.model, start.loss, prepared.batch, weight_decay=0.01, method="DOP853", rtol=1e-9)
    flow.advance(3.0)
    expected = flow.distance(prepared.descent.model)
    assert rows[1].flow["time"] == 3.0
    assert rows[1].flow["relative_l2"] == pytest.approx(expected.relative_l2, rel=1e-2)
    assert rows[1].flow["rel_l1"] == pytest.approx(expected.rel_l1, rel=1e-2)
    assert rows[1].flow["evaluations"] > 0


@pytest.mark.parametrize(
    ("recipe", "changes", "complaint"),
    [
        ("demo", MINI, "this recipe trains on batches"),
        ("fc-cifar10-5k", (*DIGITS, "optimizer.momentum=0.5"), "this recipe has momentum 0.5"),
        ("fc-cifar10-5k", (*DIGITS, "optimizer.name=adam"), "this recipe's optimizer is Adam"),
        ("fc-cifar10-5k", (*DIGITS, "schedule.milestones=[2]"), "this recipe changes its learning rate"),
    ],
)
def test_what_discretises_no_gradient_flow_is_reported(tmp_path, recipe, changes, complaint):
    with pytest.raises(ValueError, match=f"without momentum discretises; {complaint}"):
        run(tmp_path / "s", Series(load_recipe(recipe, changes=changes), flow=True), 5)
    assert not (tmp_path / "s").exists()


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ValueError, match=r"holds other files \(file\) and no sharpness series"):
        run(tmp_path / "other", Series(small()), 1)
    with Series(small()).open(tmp_path / "mine", steps=1):
        pass
    with pytest.raises(ValueError, match="holds a sharpness series of other settings"):
        run(tmp_path / "mine", Series(small(), every="2"), 1)


def test_a_second_process_is_told_that_the_directory_is_in_use(tmp_path):
    series = Series(small())
    with series.open(tmp_path, steps=1), pytest.raises(LastbitError, match="is in use by another run") as caught:
        run(tmp_path, series, 1)
    assert "\n" not in str(caught.value)
    assert [row["step"] for row in run(tmp_path, series, 1)["rows"]] == [0, 1]


def test_altered_rows_are_refused(tmp_path):
    run(tmp_path, Series(small()), 1)
    written = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    # Without checksums, as earlier versions wrote them: what a row says is checked all the same.
    rows = [json.dumps({name: value for name, value in row.items() if name != "checksum"}) for row in written]
    for altered in (
        '{"step": 0}',
        rows[0].replace('"step": 0', '"step": null'),
        rows[0].replace('"values": [', '"values": ["'),
    ):
        assert altered != rows[0]
        (tmp_path / "rows.jsonl").write_text(altered + "\n" + rows[1] + "\n")
        with pytest.raises(LastbitError, match=r"rows\.jsonl.* altered|rows\.jsonl"):
            run(tmp_path, Series(small()), 1)


def test_a_directory_of_the_first_format_is_refused_in_a_line(tmp_path):
    (tmp_path / "series.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(LastbitError, match="made by an earlier version of lastbit"):
        run(tmp_path, Series(small()), 1)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "log:", "log:0", "log:x", "lin", "10:2"])
def test_a_schedule_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="write a number of steps such as 10, or log, or log:5"):
        parse_every(text)


def test_schedules_by_name():
    assert [step for step in range(31) if parse_every("10")(step)] == [0, 10, 20, 30]
    assert [step for step in range(101) if parse_every("log:2")(step)] == [1, 3, 10, 32, 100]
    assert math.isclose(sum(parse_every("log")(step) for step in range(10, 100)), 10)
