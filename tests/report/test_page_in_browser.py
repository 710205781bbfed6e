"""The page in a real Chromium: drawn, legible on a telephone, silent, and asking for nothing."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from report_examples import make_empty_study, make_study

from lastbit.report.charts.figure import javascript
from lastbit.report.page import render
from lastbit.report.study.page import study_page

DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
LONG = "a.very.long.name.of.a.layer.that.is.far.wider.than.any.telephone.is.weight"

# Of each chart: its width and height on the page, and the number of different pixels.
LOOK = """() => [...document.querySelectorAll(".chart canvas")].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return [canvas.clientWidth, canvas.clientHeight, new Set(pixels).size];
})"""


@dataclass
class Visit:
    """A page in the browser and what it did."""

    page: Page
    file: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def picture(self, chart: str) -> str:
        """A chart's pixels."""
        drawn: str = self.page.evaluate("id => document.querySelector(`#${id} canvas`).toDataURL()", chart)
        return drawn

    def point_at(self, chart: str, x: float, y: float) -> None:
        """Move the pointer to a place in a chart, given as shares of its width and height."""
        canvas = self.page.locator(f"#{chart} canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        for shift in (2, 0):
            self.page.mouse.move(box["x"] + x * box["width"] + shift, box["y"] + y * box["height"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    still = make_study("still", growth=1e-12, layers=("first.weight", LONG))
    hostile = make_study(HOSTILE, ks=(1, 3), noises=["k=1", "k=3"], layers=("first", HOSTILE), verdict=HOSTILE)
    empty = make_empty_study() | {"controls": {"repeat": False}}
    wide = make_study(ks=(1, 3, 5, 7, 9, 11), seeds=tuple(range(1, 9)))
    contents = {"two": [make_study(), still], "hostile": [hostile, make_study()], "empty": [empty], "wide": [wide]}
    pages = {name: directory / f"{name}.html" for name in contents}
    libraries = javascript()
    for name, studies in contents.items():
        pages[name].write_text(render(study_page(studies), libraries=libraries), encoding="utf-8")
    return pages


@pytest.fixture
def visit(browser: Browser, files: dict[str, Path]):
    contexts = []

    def open_page(name: str, viewport=DESKTOP, scheme: str = "light") -> Visit:
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        context.set_default_timeout(10_000)
        contexts.append(context)
        visited = Visit(context.new_page(), files[name])
        visited.page.on("request", lambda request: visited.requests.append(request.url))
        visited.page.on("console", lambda message: visited.complaints.append(message.text))
        visited.page.on("pageerror", lambda error: visited.complaints.append(str(error)))
        visited.page.goto(files[name].as_uri())
        visited.page.wait_for_selector("html[data-charts=drawn]")
        return visited

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_verdict_comes_first_and_every_chart_is_drawn_within_the_screen_in_silence(visit, viewport):
    visited = visit("two", viewport)
    verdict = visited.page.locator(".finding").first
    assert verdict.inner_text() == "The verdict of grown."
    assert verdict.is_visible()
    assert verdict.bounding_box()["y"] < viewport["height"] / 2
    looks = visited.page.evaluate(LOOK)
    assert len(looks) == 1 + 2 * 6
    for width, height, colours in looks:
        assert viewport["width"] / 2 < width <= viewport["width"]
        assert height > 150
        assert colours > 20
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert visited.requests == [visited.file.as_uri()]
    assert visited.complaints == []


def test_wide_tables_scroll_in_their_own_box_on_a_telephone(visit):
    page = visit("wide", PHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator(".scroll", has=page.locator("#study-1-accuracies"))
    shown, whole, moved = box.evaluate(
        "box => (box.scrollLeft = 60, [box.clientWidth, box.scrollWidth, box.scrollLeft])"
    )
    assert shown < PHONE["width"] < whole
    assert moved == 60
    # The noise of each row stays in sight.
    assert page.locator("#study-1-accuracies tbody th").first.bounding_box()["x"] == box.bounding_box()["x"]


def clipped(page: Page) -> list[str]:
    """Tables of which something is out of sight, with the hint that each shows."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth)
             .map((box) => getComputedStyle(box, "::before").content)"""
    )
    return found


def test_a_wide_table_takes_the_room_beside_the_text_and_says_what_is_still_out_of_sight(visit):
    assert clipped(visit("wide", {"width": 1280, "height": 900}).page) == []
    phone = visit("wide", PHONE).page
    assert clipped(phone)
    assert all("Scroll sideways" in hint for hint in clipped(phone))
    # Where everything is in sight, nothing is said.
    assert all(
        "Scroll" not in hint
        for hint in phone.evaluate(
            """() => [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth <= box.clientWidth)
             .map((box) => getComputedStyle(box, "::before").content)"""
        )
    )


def test_accuracy_comes_first_then_predictions_then_weights(visit):
    heads = visit("two").page.locator("#study-1 h3").all_inner_texts()
    order = ["Test accuracy from run to run", "Predictions from run to run", "Weights from run to run"]
    assert heads[:3] == order


def test_the_choice_of_a_layer_changes_the_chart(visit):
    visited = visit("two")
    before = visited.picture("study-1-rel-l1-layers")
    choice = visited.page.locator("#study-1-rel-l1-layers select")
    assert choice.locator("option").all_inner_texts() == ["first.weight", "first.bias", "last.weight"]
    assert choice.input_value() == "last.weight"
    choice.select_option("first.bias")
    visited.page.wait_for_function(
        "before => document.querySelector('#study-1-rel-l1-layers canvas').toDataURL() !== before", arg=before
    )
    choice.select_option("last.weight")
    visited.page.wait_for_function(
        "before => document.querySelector('#study-1-rel-l1-layers canvas').toDataURL() === before", arg=before
    )
    assert visited.complaints == []


def test_pointing_at_a_curve_says_what_it_is_and_fades_the_others(visit):
    visited = visit("two")
    before = visited.picture("study-1-rel-l1")
    # Below the last points of the lowest curves, which are those of k = 3.
    visited.point_at("study-1-rel-l1", 0.95, 0.4)
    tooltip = visited.page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    said = dict(row.inner_text().split("\t") for row in tooltip.locator("tr").all())
    assert {name.strip(): value.strip() for name, value in said.items()} | {"seed": "?"} == {
        "noise": "k=3",
        "seed": "?",
        "step": "100",
        "RelL1": "3.0e-3",
    }
    assert visited.picture("study-1-rel-l1") != before


def test_pointing_at_a_run_says_its_accuracy(visit):
    visited = visit("two")
    places = visited.page.evaluate(
        """() => {
          const canvas = document.querySelector("#study-1-accuracy canvas");
          const { width, height } = canvas;
          const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
          const found = [];
          for (let y = Math.round(height * 0.15); y < height; y++)
            for (let x = 0; x < width; x++)
            {
              const place = 4 * (y * width + x), [red, , blue] = data.subarray(place, place + 3);
              if (red > 180 && blue < 40) found.push([x / width, y / height]);
            }
          return found;
        }"""
    )
    # The only marks of that orange below the legend are the squares of k = 3, one of each seed.
    visited.point_at("study-1-accuracy", *places[len(places) // 4])
    tooltip = visited.page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "k=3" in tooltip.inner_text()
    assert "82.03" in tooltip.inner_text()


def test_the_charts_follow_the_colour_scheme(visit):
    visited = visit("two")
    before = visited.picture("all-comparison")
    visited.page.emulate_media(color_scheme="dark")
    visited.page.wait_for_function(
        "before => document.querySelector('#all-comparison canvas')?.toDataURL() !== before", arg=before
    )
    # Waits for the last chart to be drawn again.
    visited.page.wait_for_function("document.querySelectorAll('.chart canvas').length === 13")
    assert visited.picture("all-comparison") == visit("two", scheme="dark").picture("all-comparison")
    assert visited.complaints == []


def test_hostile_names_run_nothing(visit):
    visited = visit("hostile")
    assert visited.page.locator(".finding").first.inner_text() == HOSTILE
    visited.page.locator("#study-1-rel-l1-layers select").select_option(HOSTILE)
    visited.point_at("all-comparison", 0.95, 0.4)
    visited.page.locator("#vg-tooltip-element").wait_for(state="visible")
    visited.point_at("study-1-rel-l1-layers", 0.9, 0.5)
    visited.page.locator("#vg-tooltip-element", has_text="onerror").wait_for(state="visible")
    assert visited.page.evaluate("window.hacked") is None
    assert visited.requests == [visited.file.as_uri()]
    assert visited.complaints == []


def test_without_anything_to_draw_the_page_says_why_and_failed_controls_stand_out(visit):
    visited = visit("empty")
    assert visited.page.locator(".chart").count() == 0
    assert visited.page.locator("figcaption", has_text="RelL1 of the weights is not known").is_visible()
    failed, verdict = (visited.page.locator(place).first for place in (".standing.failed", ".finding"))
    assert "The controls failed" in failed.inner_text()
    assert failed.bounding_box()["y"] < verdict.bounding_box()["y"]
    assert visited.complaints == []


def test_settings_and_fingerprints_open_on_a_click(visit):
    page = visit("two").page
    setting = page.locator("#study-1 th", has_text="optimizer.betas")
    assert not setting.is_visible()
    page.locator("#study-1 summary", has_text="Settings").click()
    assert setting.is_visible()
    page.locator("#study-1 summary", has_text="Fingerprint").click()
    assert page.locator("#study-1 td", has_text="2.13.0").is_visible()


def test_the_page_reads_without_javascript(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files["two"].as_uri())
    assert page.locator(".finding").first.is_visible()
    assert page.locator("#study-1-accuracies").first.is_visible()
    assert not page.locator(".chart").first.is_visible()
    context.close()
