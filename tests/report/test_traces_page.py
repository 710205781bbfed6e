import math

from lastbit.report.traces import TracePageContent, distance_figure, trace_page, write_trace_page

PLACE = {"operation": "aten::mm", "index": 3, "rank": 0, "phase": "forward", "step": 0, "module": "model.0",
         "line": "train.py:8", "distance": 2.5e-7}  # fmt: skip


def content(**changes):
    count = 2000
    given = {
        "names": ("laptop.trace", "<server>.trace"),
        "result": {"verdict": "the runs part", "first_different": PLACE, "beyond_rounding": None},
        "settings": [("threads", "1", "2")],
        "index": range(count),
        "step": [place // 100 for place in range(count)],
        "distance": [0.0 if place < 3 else 1e-7 * 1.001**place for place in range(count)],
        "explained": [1e-5] * count,
        "alone": ([("aten::mm", "train.py:8", 12)], []),
    }
    return TracePageContent(**given | changes)


def test_the_page_has_verdict_places_settings_and_lone_operations(tmp_path):
    write_trace_page(content(), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    for said in ("The runs part.", "aten::mm, number 3, forward", "2.5e-7", "&lt;server&gt;.trace", "threads"):
        assert said in html
    assert "12 operations are in the first run only" in html
    assert "are in the second run only" not in html
    assert "The first place that rounding does not explain</h2>" not in html


def test_the_curve_keeps_the_largest_distance_of_each_stretch():
    distances = [0.0, *[1e-7] * 1998, 1e-2]
    figure = distance_figure(content(distance=distances))
    measured, explained = figure.chart.data["rows"]
    assert len(measured["x"]) <= 600
    assert (measured["x"][-1], measured["y"][-1]) == (1999, 1e-2)
    assert min(measured["x"]) > 0
    assert set(explained["y"]) == {1e-5}
    assert figure.chart.data["jumps"] == [{"at": 3}]
    assert figure.title == "Within what rounding explains: distances up to 1.0e-2 in 20 steps"


def test_titles_say_what_is_known():
    beyond = {"verdict": "x", "first_different": PLACE, "beyond_rounding": {**PLACE, "index": 1200, "differs": "lr"}}
    assert distance_figure(content(result=beyond)).title.startswith("The runs part from operation 1,200 on")
    unknown = distance_figure(content(explained=[math.nan] * 2000))
    assert unknown.title.endswith(" apart")
    assert len(unknown.chart.data["rows"]) == 1
    same = distance_figure(content(distance=[0.0] * 2000))
    assert (same.chart, same.title) == (None, "All operations that both runs do have the same bits")


def test_without_other_environments_the_table_says_so():
    blocks = trace_page(content(settings=[])).body
    assert "The environments agree" in [getattr(block, "title", None) for block in blocks]
