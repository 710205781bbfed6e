import json

import pytest

TINY = ("fc-fashion-5k", "--set", "data.name=digits", "--set", "data.train=40", "--set", "data.test=10")
TINY = (*TINY, "--set", "model.width=3", "--set", "model.depth=1")


def test_prints_rows_and_the_finding_and_draws_a_page(lastbit, tmp_path):
    out = tmp_path / "s"
    code, said, err = lastbit("sharpness", *TINY, "--steps", 6, "--every", 3, "--lr", 0.2, "--out", out)
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in said.splitlines() if line.startswith("│")] == ["0", "3", "6"]
    assert "(2: edge)" in said
    assert "2/lr: gradient descent" in said
    results = json.loads((out / "sharpness.json").read_text())
    assert results["recipe"]["optimizer"]["lr"] == 0.2
    assert " ".join(said.split()).count(results["finding"]) == 1
    page = (out / "sharpness.html").read_text()
    assert results["finding"] in page
    assert said.splitlines()[-1] == f"page: {out / 'sharpness.html'}"


def test_json_is_the_rows_and_nothing_beside_and_the_series_goes_on(lastbit, tmp_path):
    command = ("sharpness", *TINY, "--layers", "--flow", "--k", 2, "--every", "log:2", "--out", tmp_path / "s")
    code, said, err = lastbit(*command, "--steps", 3, "--json", "-")
    assert (code, err) == (0, "")
    rows = json.loads(said)
    assert [row["step"] for row in rows] == [0, 1, 3]
    for row in rows:
        assert {"step", "loss", "sharpness", "normalised", "edge", "residual", "matvecs"} <= set(row)
        assert row["normalised"] == pytest.approx(2 * row["sharpness"] / row["edge"])
        assert row["edge"] == pytest.approx(2 / 0.05)
        assert len(row["values"]) == 2
        assert set(row["layers"]) == {"hidden.0.0", "linear"}
        assert (row["flow"]["relative_l2"] > 0) == (row["step"] > 0)
    longer = json.loads(lastbit(*command, "--steps", 10, "--json", "-")[1])
    assert longer[:3] == rows
    assert [row["step"] for row in longer] == [0, 1, 3, 10]


def test_what_layers_and_flow_cost_time_for_is_printed(lastbit, tmp_path):
    out = tmp_path / "s"
    code, said, _ = lastbit("sharpness", *TINY, "--layers", "--flow", "--steps", 4, "--every", 4, "--out", out)
    assert code == 0
    last = json.loads((out / "sharpness.json").read_text())["rows"][-1]
    assert said.startswith("Sharpness stays below the edge")
    cells = [line.split("│")[1:-1] for line in said.splitlines() if line.startswith("│")]
    rows = [[cell.strip() for cell in row] for row in cells]
    assert [row[-1] for row in rows[:2]] == ["0", f"{last['flow']['relative_l2']:.4g}"]
    by_layer = {row[0]: row[1:] for row in rows[2:]}
    assert by_layer.keys() == last["layers"].keys()
    for name, layer in last["layers"].items():
        value = layer["sharpness"]
        share = f"{100 * value / last['sharpness']:.0f} %"
        assert by_layer[name] == [f"{value:.4g}", f"{value * 0.05:.4g}", share]
    distance = f"{100 * last['flow']['relative_l2']:.3g} % of the weights' norm"
    assert f"At step 4 the descent is {distance} away from its gradient flow." in " ".join(said.split())


def test_batch_sharpness_and_the_factor_of_the_rate_are_said(lastbit, tmp_path):
    out = tmp_path / "s"
    asked = ("--batch-sharpness", "--critical", "--set", "batch_size=8", "--steps", 4, "--every", 2, "--out", out)
    code, said, _ = lastbit("sharpness", *TINY, *asked)
    assert code == 0
    last = json.loads((out / "sharpness.json").read_text())["rows"][-1]
    words = " ".join(said.split())
    assert f"At step 4 batch sharpness is {last['batch']['normalised']:.3g}"[:36] in words
    assert "where 2 is the edge of small batches." in words
    assert "In its last third, where training stands is not known: 3 measurements are needed, and it has 1" in words
    assert f"At step 4, {last['critical']['advice']}." in words
    page = (out / "sharpness.html").read_text()
    assert "the mean of g′H g / |g|²" in page
    assert last["critical"]["advice"] in page


def test_what_the_central_flow_predicts_is_said(lastbit, tmp_path):
    out = tmp_path / "s"
    code, said, _ = lastbit("sharpness", *TINY, "--central-flow", "--steps", 2, "--every", 2, "--out", out)
    assert code == 0
    assert "At step 2 the central flow predicts a loss of" in " ".join(said.split())
    assert "central flow, predicted average" in (out / "sharpness.html").read_text()


def test_divergence_is_data(lastbit, tmp_path):
    command = ("sharpness", *TINY, "--set", "model.activation=relu", "--lr", 1e30, "--steps", 40)
    code, said, err = lastbit(*command, "--out", tmp_path / "s", "--json", "-")
    assert (code, err) == (0, "")
    last = json.loads(said)[-1]
    assert (last["diverged"], last["sharpness"], last["loss"]) == (True, None, None)
    assert "–" in lastbit(*command, "--out", tmp_path / "s")[1]
    assert f"not finite at step {last['step']}" in (tmp_path / "s" / "sharpness.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fc-cifr10-5k", "--steps", "3"], "there is no recipe 'fc-cifr10-5k': the nearest are fc-cifar10-5k"),
        (["fc-cifar10-5k"], "Missing option '--steps'"),
        (["conv-mnist01", "--steps", "0"], "steps = 0: write a number of updates from 1"),
        (["conv-mnist01", "--steps", "many"], "Invalid value for '--steps': Input should be a valid integer"),
        (["conv-mnist01", "--steps", "3", "--every", "0"], "every = '0': write a number of steps such as 10"),
        (["conv-mnist01", "--steps", "3", "--k", "10"], "k=10 is not allowed; the chosen parameters have 9 entries"),
        (["conv-mnist01", "--steps", "3", "--k", "0"], "k=0 is not allowed"),
        (["conv-mnist01", "--steps", "3", "--lr", "-1"], "optimizer.lr = -1.0: input should be greater than 0"),
        (["conv-mnist01", "--steps", "3", "--set", "model.depth=0"], "one-channel-conv needs a depth"),
        (["demo", "--steps", "3", "--images", "0"], "images = 0: write a number of training images from 1"),
        (["demo", "--steps", "3", "--flow"], "without momentum discretises; this recipe trains on batches"),
        (["fc-cifar10-5k", "--steps", "3", "--root", "nowhere"], "run `lastbit data fetch cifar10-5k --root nowhere`"),
        (["conv-mnist01", "--steps", "3", "--device", "tpu"], "device 'tpu': allowed are auto, cpu, cuda"),
        (["conv-mnist01", "--steps", "3", "--scale", "huge"], "conv-mnist01 has no scale 'huge'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(lastbit, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit("sharpness", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_another_series_is_refused(lastbit, tmp_path):
    lastbit("sharpness", *TINY, "--steps", 1, "--out", tmp_path / "s")
    before = (tmp_path / "s" / "rows.jsonl").read_bytes()
    code, _, err = lastbit("sharpness", *TINY, "--steps", 1, "--lr", 0.3, "--out", tmp_path / "s")
    assert code == 2
    assert "holds a sharpness series of other settings: choose another directory" in err
    assert (tmp_path / "s" / "rows.jsonl").read_bytes() == before
