import math

from lastbit.report.traces import (
    RankDistances,
    TracePageContent,
    distance_figures,
    ranks_table,
    trace_page,
    write_trace_page,
)

PLACE = {"operation": "aten::mm", "index": 3, "rank": 0, "phase": "forward", "step": 0, "module": "model.0",
         "line": "train.py:8", "distance": 2.5e-7}  # fmt: skip


def distances(**changes):
    count = 2000
    given = {
        "rank": 0,
        "index": range(count),
        "step": [place // 100 for place in range(count)],
        "distance": [0.0 if place < 3 else 1e-7 * 1.001**place for place in range(count)],
        "explained": [1e-5] * count,
        "first_different": 3,
        "beyond_rounding": None,
    }
    return RankDistances(**given | changes)


def content(*ranks, **changes):
    given = {
        "names": ("laptop.trace", "<server>.trace"),
        "result": {"verdict": "the runs part", "first_different": PLACE, "beyond_rounding": None},
        "settings": [("threads", "1", "2")],
        "ranks": ranks or (distances(),),
        "alone": ([("aten::mm", "train.py:8", 12)], []),
    }
    return TracePageContent(**given | changes)


def distance_figure(**changes):
    (figure,) = distance_figures(content(distances(**changes)))
    return figure


def test_the_page_has_verdict_places_settings_and_lone_operations(tmp_path):
    write_trace_page(content(), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    for said in ("The runs part.", "aten::mm, number 3, forward", "2.5e-7", "&lt;server&gt;.trace", "threads"):
        assert said in html
    assert "12 operations are in the first run only" in html
    assert "are in the second run only" not in html
    assert "The first place that rounding does not explain</h2>" not in html


def test_the_curve_keeps_the_largest_distance_of_each_stretch():
    figure = distance_figure(distance=[0.0, *[1e-7] * 1998, 1e-2])
    measured, explained = figure.chart.data["rows"]
    assert len(measured["x"]) <= 600
    assert (measured["x"][-1], measured["y"][-1]) == (19.99, 1e-2)
    assert min(measured["x"]) > 0
    assert set(explained["y"]) == {1e-5}
    assert figure.chart.data["jumps"] == [{"at": 0.03}]
    assert figure.title == "Within what rounding explains: distances up to 1.0e-2 in 20 steps"


def test_an_operation_is_drawn_at_its_place_in_its_step():
    rank = distances(index=[2, 5, 6, 9, 11], step=[0, 0, 0, 1, 1], distance=[0, 0, 0, 0, 0], explained=[1] * 5)
    assert rank.places == [0, 3 / 5, 4 / 5, 1, 1 + 2 / 3]
    assert [rank.place(index) for index in (2, 6, 7, 9, 40)] == [0, 4 / 5, 1, 1, 1 + 2 / 3]


def test_titles_say_what_is_known():
    assert distance_figure(beyond_rounding=1200).title.startswith("The runs part from operation 1,200 on")
    unknown = distance_figure(explained=[math.nan] * 2000)
    assert unknown.title.endswith(" apart")
    assert len(unknown.chart.data["rows"]) == 1
    same = distance_figure(distance=[0.0] * 2000, first_different=None)
    assert (same.chart, same.title) == (None, "All operations that both runs do have the same bits")
    assert same.note


def test_each_rank_has_a_chart_and_all_share_their_axes():
    apart = distances(rank=1, distance=[1e-2] * 2000, first_different=0, beyond_rounding=120)
    figures = distance_figures(content(distances(), apart))
    assert [figure.name for figure in figures] == ["distance-0", "distance-1"]
    assert figures[0].title.startswith("Rank 0: within what rounding explains")
    assert figures[1].title.startswith("Rank 1: the runs part from operation 120 on")
    assert figures[1].chart.data["jumps"] == [{"at": 0}, {"at": 1.2}]
    scales = [figure.chart.spec()["layer"][0]["encoding"]["y"]["scale"]["domain"] for figure in figures]
    assert scales[0] == scales[1]
    rows = ranks_table(content(distances(), apart)).rows
    assert rows[0] == ("0", "operation 3, step 0", "–", "7.4e-7")
    assert rows[1] == ("1", "operation 0, step 0", "operation 120, step 1", "1.0e-2")


def test_of_many_ranks_those_that_leave_rounding_are_drawn():
    ranks = [distances(rank=rank, beyond_rounding=5 if rank == 11 else None) for rank in range(12)]
    drawn = [figure.name for figure in distance_figures(content(*ranks))]
    assert drawn == [f"distance-{rank}" for rank in (*range(7), 11)]
    assert len(ranks_table(content(*ranks)).rows) == 12


def test_without_other_environments_the_table_says_so():
    blocks = trace_page(content(settings=[])).body
    assert "The environments agree" in [getattr(block, "title", None) for block in blocks]
