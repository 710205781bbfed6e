import json

import numpy as np
import pytest
from PIL import Image

# Figure 5's first losses at lr 0.07 and weight decay 20, from the scalar map of the checkerboard.
LOSSES = [9498.183801, 1520.248574, 244.087459, 39.194357, 6.528445, 1.425929]
SMALL = ("--size", 16, "--kernel", 3)


def result(lastbit, *arguments):
    code, out, err = lastbit("pde", *arguments, "--json", "-")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_heat_names_the_cfl_step_and_blows_up_beyond_it(lastbit):
    found = result(lastbit, "heat", "--dt", 0.8, "--steps", 1000)
    assert found["max_stable_dt"] == 0.5
    assert found["amplification_max"] == pytest.approx(2.2)
    assert found["final_max"] is None
    assert found["blow_up_step"] == 912
    stable = result(lastbit, "heat", "--dt", 0.4, "--steps", 10, "--snapshots", "0,10")
    assert stable["amplification_max"] == 1
    assert [snapshot["step"] for snapshot in stable["snapshots"]] == [0, 10]
    assert stable["final_max"] == max(stable["snapshots"][1]["u"]) < 1.5


def test_beltrami_is_restrained_beyond_its_strict_step(lastbit):
    found = result(lastbit, "beltrami", "--factor", 10, "--snapshots", "0")
    assert found["strict_dt"] == pytest.approx(4.99988e-4, rel=1e-5)
    assert found["blow_up_dt"] == 20
    assert found["deviation"] == pytest.approx(0.10, abs=0.03)
    assert found["blow_up_step"] is None
    assert len(found["energy"]) == len(found["deviation_by_step"])
    beyond = result(lastbit, "beltrami", "--factor", 80_000, "--steps", 2000)
    assert beyond["blow_up_step"] is not None


def test_cnn_gives_figure_5(lastbit):
    found = result(lastbit, "cnn", "--lr", 0.07, "--weight-decay", 20, "--steps", 6)
    assert found["loss"] == pytest.approx(LOSSES, rel=1e-9, abs=5e-7)
    assert found["norm"][0] == pytest.approx(np.linalg.norm(np.random.RandomState(7).randn(32, 32)))
    assert len(found["rel_l1"]) == len(found["norm"]) == len(found["loss"])
    assert found["rel_l1"][0] == 0
    assert found["rel_l1_by_k"] == {"3": found["rel_l1"]}


@pytest.mark.parametrize(("lr", "regime"), [(0.01, "stable"), (0.07, "restrained"), (0.2, "blow-up")])
def test_cnn_names_the_regime(lastbit, lr, regime):
    arguments = ("cnn", "--lr", lr, "--weight-decay", 20, "--steps", 400)
    assert result(lastbit, *arguments)["regime"] == regime
    assert f"regime: {regime}" in lastbit("pde", *arguments)[1]


def test_bounds_are_those_of_figure_4_and_of_the_infinite_window(lastbit):
    exact = result(lastbit, "bounds", "--lr", 1e-8)
    assert exact["weight_decay"] == pytest.approx([0.25 * 225**2 * 32**2, 2e8], rel=1e-9)
    assert not exact["empty"]
    assert np.array(exact["critical"]["lower"]["vector"]).shape == (32, 32)
    infinite = result(lastbit, "bounds", "--lr", 1e-8, "--kernel", "inf")
    assert infinite["weight_decay"] == pytest.approx([0.25 * 256**4, 2e8])
    assert infinite["empty"]
    assert infinite["critical"]["lower"]["frequency"] == [128, 128]
    pixel = result(lastbit, "bounds", "--lr", 1e-8, "--kind", "pixel")
    assert pixel["weight_decay"][0] < exact["weight_decay"][0]
    assert "stable weight decay: none" in lastbit("pde", "bounds", "--lr", "1e-8", "--kernel", "inf")[1]


def test_bounds_on_the_learning_rate_with_momentum(lastbit):
    common = ("bounds", "--weight-decay", 2e7, *SMALL)
    plain, ball = result(lastbit, *common)["lr"], result(lastbit, *common, "--momentum", 0.9)["lr"]
    nesterov = result(lastbit, *common, "--momentum", 0.9, "--nesterov")["lr"]
    assert ball[1] / plain[1] == pytest.approx(1.9)
    assert nesterov[1] / plain[1] == pytest.approx(3.8 / 2.8 / 2)


def test_phase_maps_the_regimes(lastbit, tmp_path):
    grid = ("--lr", "0.01:0.2:3", "--weight-decay", "20:20:1")
    found = result(lastbit, "phase", *grid, "--steps", 400, "--out", tmp_path)
    assert [row[0] for row in found["regimes"]] == ["stable", "blow-up", "blow-up"]
    assert found["lr"] == pytest.approx([0.01, 0.105, 0.2])
    assert {(curve["regime"], curve["kind"]) for curve in found["bounds"]} >= {("transitioning", "exact")}
    assert {file.name for file in tmp_path.iterdir()} == {"phase.png", "phase.svg"}
    code, out, _ = lastbit("pde", "phase", *grid, "--steps", 400)
    assert code == 0
    assert "blow-up: 2 of 3 cells" in out


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_images_come_from_files(lastbit, tmp_path, kind):
    pixels = np.random.RandomState(0).randint(0, 256, (16, 16)).astype(np.uint8)
    path = tmp_path / f"image.{kind}"
    if kind == "png":
        Image.fromarray(pixels).save(path)
    else:
        np.save(path, pixels / 255)
    found = result(lastbit, "bounds", "--image", path, "--lr", 0.01, "--kind", "pixel", *SMALL)
    # With one pixel and label 1 the lower bound is a quarter of the image's energy over the valid positions.
    assert found["weight_decay"][0] > 0
    noise = result(lastbit, "bounds", "--image", "noise:3", "--lr", 0.01, "--kernel", "inf", "--size", 16)
    spectrum = np.abs(np.fft.fft2(np.random.RandomState(3).randn(16, 16))) ** 2
    assert noise["weight_decay"][0] == pytest.approx(spectrum.max() / 4)


def test_a_constant_image_is_bounded_at_frequency_zero_alone(lastbit, tmp_path):
    path = tmp_path / "constant.npy"
    np.save(path, np.ones((16, 16)))
    found = result(lastbit, "bounds", "--image", path, "--lr", 1e-4, "--kernel", "inf")
    assert found["critical"]["lower"]["frequency"] == [0, 0]
    assert found["weight_decay"] == pytest.approx([256**2 / 4, 2e4])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["heat", "--dt", "0"], "the time step must be positive"),
        (["heat", "--dt", "1", "--points", "2"], "at least 3 points, not 2"),
        (["heat", "--dt", "1", "--steps", "-1"], "steps must be at least 0, not -1"),
        (["heat", "--dt", "nan"], "the time step must be positive and finite, not nan"),
        (["beltrami", "--factor", "-1"], "the time step must be positive"),
        (["beltrami", "--epsilon", "0"], "epsilon"),
        (
            ["beltrami", "--epsilon", "1e-9"],
            "updates to settle: choose a larger --epsilon or --factor, or give --steps",
        ),
        (["cnn"], "Missing option '--lr'"),
        (["cnn", "--lr", "0"], "the learning rate must be positive"),
        (["cnn", "--lr", "1", "--weight-decay", "-1"], "weight decay"),
        (["cnn", "--lr", "1", "--kernel", "300"], "1 ... 256 pixels wide (the image's size), not 300"),
        (["cnn", "--lr", "1", "--label", "2"], "the label must be 0 or 1, not 2"),
        (["cnn", "--lr", "1", "--pool", "max"], "pool must be one of sum, mean, not 'max'"),
        (["cnn", "--lr", "1", "--boundary", "full"], "boundary must be one of valid, same, circular"),
        (["cnn", "--lr", "1", "--image", "cat"], "--image cat: allowed are checkerboard, noise:SEED"),
        (["cnn", "--lr", "1", "--image", "noise:x"], "the seed of noise is a whole number"),
        (["cnn", "--lr", "1", "--image", "no.png"], "cannot read an image from no.png"),
        (["cnn", "--lr", "1", "--model", "cubic"], "--model cubic: allowed are nonlinear and linear"),
        (["cnn", "--lr", "1", "--momentum", "1"], "momentum must lie in [0, 1), not 1.0"),
        (["cnn", "--lr", "1", "--nesterov"], "Nesterov needs a momentum above 0"),
        (["cnn", "--lr", "1", "--k", "0"], "k"),
        (["cnn", "--lr", "1", "--dtype", "float16"], "float32"),
        (["bounds"], "give exactly one of lr and weight_decay"),
        (["bounds", "--lr", "1", "--weight-decay", "1"], "give exactly one of lr and weight_decay"),
        (["bounds", "--lr", "1", "--kind", "exact", "--kernel", "inf"], "only the kind infinite is defined"),
        (["bounds", "--lr", "1", "--kernel", "wide"], "--kernel wide: a whole number of pixels, or inf"),
        (["bounds", "--lr", "1", "--kind", "guess"], "infinite"),
        (["phase", "--lr", "1", "--weight-decay", "1:2:3"], "--lr '1': write LO:HI:N"),
        (["phase", "--lr", "1:2:0", "--weight-decay", "1:2:3"], "--lr '1:2:0': write LO:HI:N"),
        (["phase", "--lr", "2:1:3", "--weight-decay", "1:2:3"], "LO at most HI"),
        (["phase", "--lr", "0:1:3:log", "--weight-decay", "1:2:3"], "LO above 0 for log"),
        (["phase", "--lr", "0:1:3", "--weight-decay", "1:2:3"], "the learning rate must be positive"),
        (["phsae"], "Did you mean 'phase'?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(lastbit, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit("pde", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("content", "complaint"), [(np.ones((3, 4)), "square"), (np.full((4, 4), np.nan), "finite")])
def test_an_image_that_cannot_be_used_is_refused(lastbit, tmp_path, content, complaint):
    path = tmp_path / "image.npy"
    np.save(path, content)
    code, _, err = lastbit("pde", "bounds", "--image", path, "--lr", 1)
    assert code == 2
    assert complaint in err
