import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from report_examples import make_empty_study, make_study, make_trial

from lastbit.report.page import render as render_page
from lastbit.report.study import write_report
from lastbit.report.study.page import study_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}&amp;\"'"
PLACEHOLDER = "«NAME»"
LIBRARIES = "window.vegaEmbed = null;"


class Page(HTMLParser):
    """A page's tags and texts as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    @property
    def charts(self):
        return json.loads(self.scripts[0])["specs"]


def render(studies, *, libraries):
    return render_page(study_page(studies), libraries=libraries)


def read(*studies):
    return Page(render(studies, libraries=LIBRARIES))


@pytest.fixture
def bare(monkeypatch):
    """Pages without the chart libraries, which take a second and a half to bundle."""
    monkeypatch.setattr("lastbit.report.page.javascript", lambda: LIBRARIES)


def named_all_over(name):
    """A study in which a name stands wherever a user's words can stand."""
    trials = [make_trial(1, 1, id=name), make_trial(1, 3, kind=name, noise=name)]
    words = {"name": name, "description": name, "scale": name, "cuts": name, "dtype": name, name: name}
    return make_study(
        name,
        ks=(1, 3),
        seeds=(1,),
        layers=("first", name),
        settings=words | {"model": {"activation": name}},
        fingerprints=[{"torch": name}],
        noises=["k=1", name],
        trials=trials,
        controls={name: True},
        verdict=name,
    )


def test_hostile_names_stay_text():
    page, plain = read(named_all_over(HOSTILE)), read(named_all_over(PLACEHOLDER))
    assert page.text == plain.text.replace(PLACEHOLDER, HOSTILE)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in page.tags] == [set(attributes) for _, attributes in plain.tags]


# Without shrinking: a page takes a third of a second.
@settings(max_examples=8, deadline=None, phases=set(Phase) - {Phase.shrink})
@given(st.text().map("«{}»".format))
def test_any_name_reads_as_it_is(name):
    page, plain = read(named_all_over(name)), read(named_all_over(PLACEHOLDER))
    assert page.text == plain.text.replace(PLACEHOLDER, name)
    (choice,) = [param for param in page.charts["study-1-rel-l1-layers"]["params"] if param["name"] == "chosen"]
    assert choice["bind"]["options"] == ["first", name]


def test_half_a_surrogate_pair_does_not_stop_the_page(tmp_path, bare):
    path = tmp_path / "report.html"
    write_report([make_study("odd \ud800 name")], path)
    assert "odd ? name" in path.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing():
    page = read(make_study(), make_study("other"))
    sources = [
        value
        for tag, attributes in page.tags
        for key, value in attributes.items()
        if key in ("src", "href", "action", "data", "srcset", "poster") and not (tag == "a" and value.startswith("#"))
    ]
    assert sources == ["data:,"]
    (policy,) = [attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert not re.search(r"@import|url\(", page.text)


def test_the_verdict_comes_before_everything_else():
    text = read(make_study(), make_study("other")).text
    order = [
        "The verdict of grown.",
        "Controls passed",
        "The verdict of other.",
        "What was asked",
        "test accuracy lies",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_doubts_stand_before_the_verdict():
    text = read(make_study(controls={"repeat": False})).text
    assert text.index("The controls failed") < text.index("The verdict of grown.")
    assert read(make_empty_study()).text.index("were not run") < read(make_empty_study()).text.index(
        "The verdict of empty."
    )


def test_each_figure_has_its_place_and_its_title():
    page = read(make_study(), make_study("other"))
    places = [attributes["id"] for tag, attributes in page.tags if attributes.get("class") == "chart"]
    names = ("accuracy", "spread", "variance", "gain", "rel-l1", "rel-l1-layers")
    assert places == ["all-comparison", *(f"study-{i}-{name}" for i in (1, 2) for name in names)]
    assert sorted(page.charts) == sorted(places)
    assert "RelL1 is between 3.0e-3 and 5.0e-3 after step 100" in page.text


def test_what_k_is_and_what_was_done_is_reported():
    text = read(make_study()).text
    assert "θ ← θ − (lr · k) · (d / k)" in text
    assert "A made-up study." in text
    assert "One run for seeds 1 and 2 with each of k=1, k=3 and k=5" in text


def test_another_noise_is_not_explained_as_k():
    trials = [make_trial(1, 1, kind="flip", noise="flip 1 ulp")]
    text = read(make_study(noises=["none", "flip 1 ulp"], trials=trials)).text
    assert "lr · k" not in text
    assert "A noise disturbs the last bit" in text


def test_a_study_without_anything_still_has_a_page():
    page = read(make_empty_study())
    assert page.charts == {}
    for words in ("not finished", "too few runs", "No run recorded it.", "Churn is not known", "No spread to draw"):
        assert words in page.text
    assert "None" not in page.text


@pytest.mark.parametrize("key", ["controls", "sampling_error", "gradient_fluctuation"])
def test_a_single_missing_part_leaves_the_rest(key):
    page = read(make_study(**{key: None}))
    assert len(page.charts) == 6
    assert "None" not in page.text


def test_diverged_runs_are_marked():
    diverged = make_trial(2, 5, status="diverged", diverged_at=40, test_accuracy=None, train_loss=None, test_loss=None)
    page = read(make_study(trials=[*make_study()["trials"][:-1], diverged]))
    marked = [tag for tag, attributes in page.tags if "alert" in (attributes.get("class") or "").split()]
    assert sorted(marked) == ["td", "td"]
    assert page.text.count("diverged at step 40") == 2
    assert "6 runs, of which 5 finished and 1 diverged" in page.text


def test_a_reduced_scale_is_reported_beside_the_verdict():
    study = make_study()
    study["settings"] |= {"scale": "smoke", "cuts": "2 of 9 epochs"}
    text = read(study).text
    assert text.index("The verdict of grown.") < text.index("2 of 9 epochs") < text.index("What was asked")


def test_few_differences_of_studies_are_open_and_many_are_folded():
    few, many = make_study("few"), make_study("many", settings={f"setting {i}": i for i in range(9)})
    for other, is_open in ((few, True), (many, False)):
        other["settings"]["extra"] = 1
        folds = [set(attributes) for tag, attributes in read(make_study(), other).tags if tag == "details"]
        assert folds[0] == ({"open"} if is_open else set())
        assert not any(folds[1:])
    assert "What the studies differ in" not in read(make_study(), make_study()).text


def test_several_fingerprints_are_all_listed():
    text = read(make_study(fingerprints=[{"torch": "2.12.0", "threads": 1}, {"torch": "2.13.0", "threads": 1}])).text
    assert "Kind 1 of 2" in text
    said, _, whole = text.partition("Kind 1 of 2")
    differences = said.partition("They differ in this:")[2]
    assert "2.12.0" in differences
    assert "2.13.0" in differences
    assert "threads" not in differences
    assert "threads" in whole


def test_one_fingerprint_differs_in_nothing():
    assert "They differ in this" not in read(make_study()).text


def test_a_large_study_stays_below_three_megabytes(tmp_path):
    seeds = tuple(range(1, 7))
    layers = tuple(f"stages.{i // 60}.blocks.{i // 6 % 10}.convolution{i % 6}.weight" for i in range(170))
    large = make_study(ks=(1, 3, 5, 7, 9, 11), seeds=seeds, steps=tuple(range(1, 3701, 100)), layers=layers)
    assert (len(large["trials"]), len(large["rel_l1_layers"])) == (36, 37 * 170)
    path = tmp_path / "report.html"
    write_report([large], path)
    assert path.stat().st_size < 1.5e6
    longer = make_study(ks=(1, 3, 5, 7, 9, 11), seeds=seeds, steps=tuple(range(1, 78001, 339)), layers=layers)
    page = render([longer, longer, longer], libraries=LIBRARIES)
    assert len(page.encode()) < 2e6
    assert "measured steps." in page


def test_the_page_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path, bare):
    path = tmp_path / "new" / "report.html"
    write_report([make_study()], path)
    write_report([make_study("second")], path)
    html = path.read_text(encoding="utf-8")
    assert html.endswith("</html>")
    assert "second" in html
    assert "grown" not in html
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_study_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="lack"):
        write_report([{"name": "x"}], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
