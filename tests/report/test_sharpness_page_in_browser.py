"""The sharpness page in a real Chromium: drawn, legible on a telephone, silent, and asking for nothing."""

import pytest
from playwright.sync_api import Browser
from sharpness_examples import RECIPE, make_series

from lastbit.report.charts.figure import javascript
from lastbit.report.page import render
from lastbit.report.sharpness.page import sharpness_page

DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"

# Of each chart: its width and height on the page, and the number of different pixels.
LOOK = """() => [...document.querySelectorAll(".chart canvas")].map((canvas) => {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return [canvas.clientWidth, canvas.clientHeight, new Set(pixels).size];
})"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "sharpness.html"
    series = make_series(layers=True, flow=True, batch=True, diverged=True, recipe=RECIPE | {"name": HOSTILE})
    path.write_text(render(sharpness_page(series), libraries=javascript()), encoding="utf-8")
    return path


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_chart_is_drawn_within_the_screen_in_silence(browser: Browser, file, viewport):
    context = browser.new_context(viewport=viewport)
    page, requests, complaints = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-charts=drawn]")
    looks = page.evaluate(LOOK)
    assert len(looks) == 6
    for width, height, colours in looks:
        assert viewport["width"] / 2 < width <= viewport["width"]
        assert height > 150
        assert colours > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    doubt, finding = (page.locator(place).first for place in (".standing.doubt", ".finding"))
    assert "not finite at step 41" in doubt.inner_text()
    assert finding.bounding_box()["y"] > doubt.bounding_box()["y"]
    page.locator("summary", has_text="All measurements").click()
    assert page.locator("td.alert", has_text="diverged").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate("window.hacked") is None
    assert (requests, complaints) == ([file.as_uri()], [])
    context.close()
