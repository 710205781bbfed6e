import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lastbit.report.charts.heat_map import edges, is_geometric
from lastbit.report.pde import phase_figure, write_phase

RATES, DECAYS = [0.1, 0.2, 0.3], [1.0, 10.0, 100.0, 1000.0]


def content(lr=RATES, weight_decay=DECAYS):
    regimes = [["stable", "restrained", "blow-up", "blow-up"][: len(weight_decay)] for _ in lr]
    upper = [2 / rate for rate in lr]
    bounds = [
        {"regime": "transitioning", "kind": "exact", "lower": [5.0] * len(lr), "upper": upper},
        {"regime": "transitioning", "kind": "infinite", "lower": [1e6] * len(lr), "upper": [None] * len(lr)},
        {"regime": "not activated", "kind": "exact", "lower": [0.0] * len(lr), "upper": upper},
    ]
    return {"lr": list(lr), "weight_decay": list(weight_decay), "regimes": regimes, "bounds": bounds}


def _lines(figure):
    return figure.picture()["datasets"].get("lines", [])


def test_cells_tile_the_picture_and_know_their_run():
    cells = phase_figure(content()).rows
    assert len(cells) == 12
    first = cells[0]
    assert (first["lr"], first["weight_decay"], first["shown"]) == (0.1, 1.0, "stable")
    assert (first["left"], first["right"]) == pytest.approx((0.05, 0.15))
    assert (first["bottom"], first["top"]) == pytest.approx((10**-0.5, 10**0.5))
    assert sum((cell["right"] - cell["left"]) for cell in cells[::4]) == pytest.approx(0.3)


def test_axes_are_logarithmic_where_the_grid_is_geometric():
    encoding = phase_figure(content()).picture()["layer"][0]["encoding"]
    assert "type" not in encoding["x"]["scale"]
    assert encoding["y"]["scale"]["type"] == "log"
    assert encoding["y"]["scale"]["domain"] == pytest.approx([10**-0.5, 10**3.5])


def test_the_finding_counts_the_regimes():
    assert phase_figure(content()).title == "Of 12 runs 25 % are stable, 25 % are restrained and 50 % blow up"
    calm = content() | {"regimes": [["stable"] * 4] * 3}
    assert phase_figure(calm).title == "Of 12 runs 100 % are stable"


def test_regimes_are_told_apart_without_colour():
    assert {(cell["shown"], cell["sign"]) for cell in phase_figure(content()).rows} == {
        *[("stable", ""), ("restrained", "•"), ("blow-up", "✕")]
    }


def test_a_fine_grid_has_a_mark_every_few_cells():
    fine = content(lr=[0.001 * i for i in range(1, 101)])
    marked = [cell["lr"] for cell in phase_figure(fine).rows if cell["sign"] == "•"]
    assert 0 < len(marked) <= 40


def test_bounds_are_drawn_once_and_only_where_they_cross_the_picture():
    lines = _lines(phase_figure(content()))
    assert {(row["label"], row["style"], row["line"]) for row in lines} == {
        *[("transitioning", "exact", 0), ("transitioning", "exact", 1)]
    }
    assert [row["y"] for row in lines if row["line"] == 1] == [2 / rate for rate in RATES]


def test_a_picture_without_bounds_is_drawn():
    assert _lines(phase_figure(content() | {"bounds": []})) == []


@pytest.mark.parametrize(("lr", "weight_decay"), [([0.1], [1.0]), ([0.1, 0.2], [0.0, 1.0])])
def test_small_grids_have_cells_with_an_area(lr, weight_decay):
    for cell in phase_figure(content(lr, weight_decay)).rows:
        assert cell["left"] < cell["lr"] < cell["right"]
        assert cell["bottom"] < cell["weight_decay"] < cell["top"]


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20, unique=True).map(sorted))
def test_edges_enclose_each_value(values):
    borders = edges(values)
    assert len(borders) == len(values) + 1
    assert all(low <= value <= high for low, value, high in zip(borders, values, borders[1:], strict=False))


@pytest.mark.parametrize(
    ("values", "geometric"),
    [([1, 2, 4, 8], True), ([1, 2, 3], False), ([0, 1, 2], False), ([1, 2], False), ([-4, -2, -1], False)],
)
def test_geometric_grids_are_recognised(values, geometric):
    assert is_geometric(values) == geometric


def test_phase_is_written_as_png_and_svg(tmp_path):
    written = write_phase(content(), tmp_path / "new")
    assert [path.name for path in written] == ["phase.png", "phase.svg"]
    with Image.open(written[0]) as image:
        colours = {colour for count, colour in image.convert("RGB").getcolors(maxcolors=2**20) if count > 5000}
    # Okabe and Ito's sky blue, yellow and vermilion.
    assert {(0x56, 0xB4, 0xE9), (0xF0, 0xE4, 0x42), (0xD5, 0x5E, 0x00)} <= colours
    texts = {element.text for element in ET.fromstring(written[1].read_bytes()).iter() if element.text}
    assert {
        "learning rate Δt",
        "weight decay α (log scale)",
        "stable",
        "restrained",
        "blow-up",
        "transitioning",
    } <= texts


def test_the_edge_of_a_known_sharpness_is_drawn_where_two_over_it_is():
    known = content() | {"sharpness": [4.0, 10.0, None, 40.0]}
    figure = phase_figure(known)
    drawn = [(row["x"], row["y"]) for row in _lines(figure) if row["style"] == "minimum"]
    assert drawn == [(0.5, 1.0), (0.2, 10.0), (0.05, 1000.0)]
    assert "2/λ" in figure.note
    assert "2/λ" not in phase_figure(content()).note
