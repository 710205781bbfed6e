"""The page of the paper's items: what it says, and in a real Chromium that it is right on a telephone."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.paper.items.figure1 import FIGURE1
from lastbit.report.charts.figure import javascript
from lastbit.report.numbers import duration
from lastbit.report.page import render
from lastbit.report.paper import Entry, Tally, in_words, interval_in_words, paper_page, tally, write_paper_page
from lastbit.report.table import Table

PHONE = {"width": 390, "height": 844}


def make_claim(text, holds, **given):
    return {"claim": text, "published": None, "measured": None, "interval": None, "reason": "", **given, "holds": holds}


def heat_result():
    tent = [0.0, 1.0, 0.0]
    run = {"dt": 0.8, "amplification_max": 2.2, "blow_up_step": 3, "max_abs": [1.0, 2.2, 4.8, None]}
    return {"start": tent, "max_stable_dt": 0.5, "runs": [run | {"snapshots": [{"step": 1, "time": 0.8, "u": tent}]}]}


def make_entry(id="figure1", **given):
    wide = Table("wide", "A wide table", [f"column {i}" for i in range(9)], [["cell"] * 9], "Its cells are words.")
    claims = [
        make_claim("The sun rises", True, published="in the east", measured=0.25, interval=[0.2, 0.3]),
        make_claim("The moon is cheese", False, published="cheese", measured={"rock": 1.0}, reason="It is rock."),
        make_claim("It rains tomorrow", None, reason="Too early to tell."),
    ]
    content = {
        "title": "What goes on above",
        "shows": "Sun, moon and rain.",
        "scale": "smoke",
        "cuts": "one day instead of a year",
        "seconds": 12.0,
        "published": {"largest_moon": 1},
        "settings": {"days": 1, "sky": {"colour": "blue"}},
        "fingerprint": {"torch": "2.13.0"},
        "claims": claims,
        "drawings": [*FIGURE1.draw(heat_result()), wide],
    }
    return Entry(id=id, **(content | given))


class _Texts(HTMLParser):
    """The texts of the page without those of scripts and styles."""

    def __init__(self):
        super().__init__()
        self.found, self._silent = [], False

    def handle_starttag(self, tag, attrs):
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.found.append(data)


def text_of(html):
    parser = _Texts()
    parser.feed(html)
    return " ".join(" ".join(parser.found).split())


def test_the_page_says_first_how_many_claims_hold_and_which_do_not():
    text = text_of(render(paper_page([make_entry()], missing=["table9"]), libraries=""))
    assert "Of 3 claims 1 holds, 1 does not and 1 is not decided at scale “smoke”." in text
    assert "1 of 2 items were run; together they took 12 s. Not run: table9." in text
    failing, undecided, items = (text.index(words) for words in ("What does not", "What this scale", "Every item"))
    assert failing < text.index("The moon is cheese") < undecided < text.index("It rains tomorrow") < items
    assert text.index("The sun rises") > items
    assert "✗ does not hold The moon is cheese. published cheese measured rock: 1 It is rock." in text
    assert "✓ holds The sun rises. published in the east measured 0.25 interval 0.2 to 0.3" in text


def test_an_item_says_what_was_cut_and_how_long_it_took():
    text = text_of(render(paper_page([make_entry()]), libraries=""))
    assert "Cut at scale “smoke”: one day instead of a year. It took 12 s." in text
    assert "largest moon 1" in text
    assert "sky.colour blue" in text
    whole = text_of(render(paper_page([make_entry(scale="paper", cuts="")]), libraries=""))
    assert "Run with the paper's settings, nothing cut. It took 12 s." in whole


def test_where_all_claims_hold_the_page_says_so():
    entry = make_entry(claims=[make_claim("The sun rises", True)])
    text = text_of(render(paper_page([entry]), libraries=""))
    assert "Every claim that this scale can decide holds." in text
    assert "What this scale cannot decide" not in text
    assert "Nothing was run yet." in text_of(render(paper_page([], missing=["figure1"]), libraries=""))


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("figure11", "Figure 11"),
        ("table2", "Table 2"),
        ("theorem54", "Theorem 5.4"),
        ("theorem5.4", "Theorem 5.4"),
        ("theorem5_4", "Theorem 5.4"),
        ("beta-sweep", "Beta sweep"),
        ("resnet56-growth", "ResNet-56 growth"),
    ],
)
def test_items_are_called_as_in_the_paper(id, name):
    assert make_entry(id).name == name


def test_the_page_escapes_what_it_is_given():
    hostile = "</script><img src=x onerror='window.hacked = 1'>"
    claims = [make_claim(hostile, False, published=hostile, measured={hostile: hostile}, reason=hostile)]
    html = render(paper_page([make_entry(title=hostile, shows=hostile, cuts=hostile, claims=claims)]), libraries="")
    assert "<img" not in html


def test_the_libraries_are_on_the_page_once(tmp_path):
    path = tmp_path / "new" / "paper.html"
    write_paper_page([make_entry(f"figure{i}") for i in range(1, 5)], path)
    html = path.read_text()
    assert html.count(javascript()[:1000]) == 1
    assert len(html) < len(javascript()) + 60_000


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 900}], ids=["phone", "desktop"])
def test_in_a_browser_it_fits_draws_every_chart_in_silence_and_leads_to_its_items(browser, tmp_path, viewport):
    entries = [make_entry(f"figure{i}") for i in (1, 2)]
    long = replace(entries[0], id="theorem54", claims=[make_claim("x" * 200, False, measured={"y" * 300: "z" * 300})])
    path = tmp_path / "paper.html"
    write_paper_page([*entries, long], path)
    context = browser.new_context(viewport=viewport)
    page = context.new_page()
    seen = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-charts=drawn]")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    widths = page.evaluate("[...document.querySelectorAll('.chart canvas')].map((canvas) => canvas.clientWidth)")
    assert len(widths) == 3 * 2
    assert all(viewport["width"] / 2 < width <= viewport["width"] for width in widths)
    page.locator(".contents a", has_text="Theorem 5.4").click()
    assert page.locator("section#theorem54 h2").is_visible()
    assert page.url.endswith("#theorem54")
    assert [each for each in seen if each != path.as_uri()] == []
    context.close()


def test_on_a_telephone_a_legend_has_no_more_columns_than_fit(browser, tmp_path):
    """Entries that stand side by side on a desktop would be cut off on a telephone."""
    result = heat_result()
    times = [12345.5, 23456.5, 34567.5]
    result["runs"][0]["snapshots"] = [{"step": 1, "time": time, "u": result["start"]} for time in times]
    path = tmp_path / "paper.html"
    write_paper_page([make_entry(drawings=FIGURE1.draw(result)[:1])], path)
    heights = {}
    for width in (390, 1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-charts=drawn]")
        heights[width] = page.locator(".chart canvas").evaluate("canvas => canvas.clientHeight")
        context.close()
    # Rows of the legend take height: at least one more on the telephone.
    assert heights[390] > heights[1280] + 10


NOTE_ORDER = """window.order = [];
new MutationObserver((changes) => {
  for (const { target } of changes) {
    const place = target.closest?.(".chart");
    if (place?.querySelector("canvas") && !window.order.includes(place.id)) window.order.push(place.id);
  }
}).observe(document, { childList: true, subtree: true });"""


# As after scrolling to the fourth item: its charts are in the middle of the window from the start.
SCROLLED = """const placed = Element.prototype.getBoundingClientRect;
Element.prototype.getBoundingClientRect = function () {
  return this.id?.startsWith("figure4-") ? new DOMRect(0, innerHeight / 2, 10, 0) : placed.call(this);
};"""


@pytest.mark.parametrize(("script", "first"), [("", "figure1"), (SCROLLED, "figure4")], ids=["top", "scrolled"])
def test_the_charts_that_are_looked_at_are_drawn_first(browser, tmp_path, script, first):
    path = tmp_path / "paper.html"
    write_paper_page([make_entry(f"figure{i}") for i in range(1, 6)], path)
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.add_init_script(NOTE_ORDER + script)
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-charts=drawn]", timeout=60_000)
    order = page.evaluate("window.order")
    assert len(order) == 5 * 2
    assert all(id.startswith(f"{first}-") for id in order[:2])
    context.close()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (0.1, "0.1"),
        (13_000_000.0, "1.3e7"),
        (7377, "7,377"),
        (2_000_000, "2e6"),
        ("stable", "stable"),
        ([], "none"),
        ([1, 2.5, None], "1, 2.5, –"),
        ([[1, 2], [3, 4]], "(1, 2), (3, 4)"),
        ({"blow_up_step": 912, "growth": 2.19123}, "blow up step: 912; growth: 2.191"),
        ({"1": [90, 100], "2": {"a": None}}, "1: (90, 100); 2: (a: –)"),
    ],
)
def test_values_of_any_shape_are_put_in_words(value, words):
    assert in_words(value) == words


def test_an_interval_has_two_ends():
    assert interval_in_words([0.09, 0.1]) == "0.09 to 0.1"
    assert interval_in_words([2.0, 2.0]) == "2"
    assert interval_in_words([None, 1]) == "– to 1"
    assert interval_in_words(None) == "–"
    assert interval_in_words([1, 2, 3]) == "1, 2, 3"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (25.4, "25 s"),
        (89, "89 s"),
        (91, "2 min"),
        (3600, "60 min"),
        (5401, "1.5 h"),
        (36 * 3600, "36.0 h"),
        (10 * 86400, "10 days"),
    ],
)
def test_durations_have_the_unit_that_people_would_say(seconds, words):
    assert duration(seconds) == words


@given(st.lists(st.sampled_from([True, False, None])))
def test_every_claim_is_counted_once(outcomes):
    found = tally({"holds": outcome} for outcome in outcomes)
    assert found.total == len(outcomes)
    assert (found.hold, found.fail, found.undecided) == tuple(map(outcomes.count, (True, False, None)))


def test_a_tally_is_a_sentence_and_marks():
    assert Tally(9, 2, 1).sentence == "Of 12 claims 9 hold, 2 do not and 1 is not decided"
    assert Tally(1, 0, 0).sentence == "Of 1 claim 1 holds"
    assert Tally(0, 1, 2).sentence == "Of 3 claims 0 hold, 1 does not and 2 are not decided"
    assert Tally(9, 2, 1).marks == "✓ 9 ✗ 2 ? 1"
    assert Tally(3, 0, 0).marks == "✓ 3"
