"""The explorer in a real Chromium: every control moved, every chart seen to change, nothing asked of another host."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from explorer_page import ExplorerPage, explorer, visit
from tests.study.toy_training import train

import lastbit as lb
from lastbit.explore.layer import LEARNING_RATES, WEIGHT_DECAYS

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
ALL = {"amplification", "plane", "loss", "twins", "edge"}


@pytest.fixture(scope="module")
def given_as_json(tmp_path_factory):
    return tmp_path_factory.mktemp("explorer") / "address.json"


@pytest.fixture(scope="module")
def address(given_as_json):
    with explorer("--json", str(given_as_json)) as found:
        yield found


@pytest.fixture(scope="module")
def desktop(browser, address):
    visited = visit(browser, address, DESKTOP)
    yield visited
    visited.page.context.close()


def title(visited: ExplorerPage, chart: str) -> str:
    return visited.charts()[chart][0]


def test_all_charts_are_drawn_at_first_and_fit_the_screen(desktop):
    charts = desktop.charts()
    assert charts.keys() == ALL
    assert all(len(picture) > 5000 for _, picture in charts.values())
    assert desktop.widest() <= DESKTOP["width"]
    # Sliders and both charts of the theory without scrolling.
    for cell in ("layer_momentum", "layer_amplification", "layer_plane"):
        box = desktop.cell(cell).bounding_box()
        assert box["y"] + box["height"] < DESKTOP["height"]


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("layer_lr", "ArrowLeft"),
        ("layer_weight_decay", "ArrowLeft"),
        ("layer_momentum", "ArrowRight"),
        ("layer_beta", "ArrowRight"),
        ("layer_kernel", "ArrowLeft"),
    ],
)
def test_every_slider_changes_every_chart_and_back(desktop, cell, key):
    before = desktop.charts()
    assert desktop.changed_by(lambda: desktop.press(cell, key)) == ALL
    back = {"ArrowLeft": "ArrowRight", "ArrowRight": "ArrowLeft"}[key]
    desktop.changed_by(lambda: desktop.press(cell, back))
    assert desktop.charts() == before


def test_label_and_picture_change_every_chart(desktop):
    before = desktop.charts()
    assert desktop.changed_by(lambda: desktop.cell("layer_label").get_by_text("0", exact=True).click()) == ALL
    desktop.changed_by(lambda: desktop.cell("layer_label").get_by_text("1", exact=True).click())
    choice = desktop.cell("layer_picture").locator("select")
    assert desktop.changed_by(lambda: choice.select_option("shirt")) == ALL
    assert "ω = (0, 0)" in title(desktop, "amplification")
    desktop.changed_by(lambda: choice.select_option("checkerboard"))
    assert desktop.charts() == before


def test_a_click_in_the_plane_moves_the_point_and_the_sliders(desktop):
    canvas = desktop.cell("layer_plane").locator("canvas")
    box = canvas.bounding_box()
    place = {"x": box["width"] * 0.4, "y": box["height"] * 0.3}
    assert desktop.changed_by(lambda: canvas.click(position=place)) == ALL
    said = title(desktop, "plane")
    lr = LEARNING_RATES[desktop.stands_at("layer_lr")]
    weight_decay = WEIGHT_DECAYS[desktop.stands_at("layer_weight_decay")]
    assert 0.005 < lr < 0.1
    assert 5 < weight_decay < 100
    assert said.startswith(f"At lr {lr:g} ")
    assert f"; {weight_decay:g} is " in said
    # The sliders move on from there.
    assert "plane" in desktop.changed_by(lambda: desktop.press("layer_lr", "ArrowRight"))


def test_a_simulation_that_blows_up_is_drawn_and_survived(desktop):
    desktop.changed_by(lambda: desktop.press("layer_lr", "End"))
    desktop.changed_by(lambda: desktop.press("layer_weight_decay", "End"))
    charts = desktop.charts()
    assert charts["loss"][0].startswith("Training blows up")
    assert charts["loss"][1]
    assert charts["edge"] == ("No crossing of the edge is shown: the run is one that blows up", None)
    desktop.changed_by(lambda: desktop.press("layer_lr", "Home"))
    assert title(desktop, "loss").startswith("Training is stable")


def test_a_picture_that_is_none_is_reported_and_one_that_is_one_is_shown(desktop, tmp_path):
    given = desktop.cell("layer_upload").locator("input[type=file]")
    (tmp_path / "letter.png").write_text("Dear picture,")
    desktop.changed_by(lambda: given.set_input_files(tmp_path / "letter.png"))
    said = desktop.cell("layer_complaint").inner_text()
    assert said.startswith("cannot read an image from letter.png")
    assert desktop.cell("layer_picture").locator("select").input_value() == "your own"
    assert desktop.charts().keys() == ALL


def test_a_study_is_loaded_and_its_trials_compared(desktop, tmp_path):
    study = lb.Study(tmp_path / "toy", train, noises=[lb.Scale(k) for k in (1, 3)], seeds=(1, 2))
    study.run()
    desktop.page.get_by_text("A study", exact=True).click()
    place = desktop.cell("study_place").locator("input")
    place.fill(str(tmp_path / "nothing"))
    desktop.changed_by(lambda: place.press("Enter"))
    assert desktop.cell("study_loaded").inner_text() == f"there is no directory {tmp_path / 'nothing'}"
    (tmp_path / "empty").mkdir()
    place.fill(str(tmp_path / "empty"))
    desktop.changed_by(lambda: place.press("Enter"))
    assert "holds no study" in desktop.cell("study_loaded").inner_text()
    # A folder lists its studies.
    place.fill(str(tmp_path))
    assert desktop.changed_by(lambda: place.press("Enter")) == {"rel-l1", "accuracy", "pair"}
    assert desktop.cell("study_choice").locator("option").all_inner_texts() == ["toy"]
    place.fill(str(tmp_path / "toy"))
    desktop.changed_by(lambda: place.press("Enter"))
    assert not desktop.cell("study_choice").locator("select").is_visible()
    other = desktop.cell("study_pair").locator("select").nth(1)
    assert desktop.changed_by(lambda: other.select_option("seed 1, k=3")) == {"pair"}
    assert title(desktop, "pair").startswith("RelL1 is ")
    assert "test_accuracy" in desktop.cell("study_compared").inner_text()
    assert desktop.changed_by(lambda: other.select_option("seed 1, k=1")) == {"pair"}
    assert title(desktop, "pair") == "Both trials are bit for bit the same"
    assert not desktop.cell("layer_plane").is_visible()
    desktop.page.get_by_text("One layer", exact=True).click()
    desktop.cell("layer_plane").wait_for()
    assert not desktop.cell("study_charts").is_visible()


def test_on_a_telephone_nothing_reaches_beyond_the_screen(browser, address):
    visited = visit(browser, address, PHONE)
    assert visited.widest() <= PHONE["width"]
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert visited.changed_by(lambda: visited.press("layer_lr", "ArrowLeft")) == ALL
    assert_silent(visited)
    visited.page.context.close()


def test_all_of_this_asked_nothing_of_another_host_and_met_no_error(desktop):
    assert len(desktop.requests) > 50
    assert_silent(desktop)


def assert_silent(visited: ExplorerPage) -> None:
    hosts = {urlsplit(request).hostname for request in visited.requests if not request.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    assert visited.complaints == []


def test_the_directory_that_the_command_is_given_is_open_at_first(browser, tmp_path):
    lb.Study(tmp_path / "some where" / "toy", train, noises=[lb.Scale(k) for k in (1, 3)], seeds=(1,)).run()
    with explorer(str(tmp_path)) as found:
        page = browser.new_context(viewport=DESKTOP).new_page()
        page.goto(found)
        page.locator("figure[data-chart=pair] canvas").wait_for(timeout=30_000)
        assert page.locator("[data-cell-name=study_choice] option").all_inner_texts() == ["some where/toy"]
        assert page.locator("[data-cell-name=study_place] input").input_value() == str(tmp_path)
        page.context.close()


def test_every_symbol_of_the_page_is_explained_on_it(desktop):
    desktop.page.get_by_text("What the symbols mean").click()
    said = desktop.cell("symbols").locator("dt").all_inner_texts()
    assert {"W", "β", "y", "ω", "|A(ω)|", "RelL1", "twin", "edge", "restrained"} <= set(said)
    assert all(desktop.cell("symbols").locator("dd").all_inner_texts())
    desktop.page.get_by_text("What the symbols mean").click()


def test_without_the_token_or_by_another_name_the_page_is_not_given(address):
    parts = urlsplit(address)
    for place, name in (
        (f"http://{parts.netloc}/", parts.netloc),
        (f"http://{parts.netloc}/?access_token=guess", parts.netloc),
        (address, "elsewhere.example"),
    ):
        asked = urllib.request.Request(place, headers={"Host": name})
        try:
            with urllib.request.urlopen(asked) as answered:
                content = answered.read().decode()
        except urllib.error.HTTPError as refused:
            content = refused.read().decode()
        assert "lastbit explorer" not in content


def test_the_address_is_given_as_json(address, given_as_json):
    assert json.loads(given_as_json.read_text()) == {"address": address}
