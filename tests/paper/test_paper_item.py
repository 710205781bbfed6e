"""What all items have in common."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lastbit.paper.catalogue import ITEMS
from lastbit.paper.item import SCALES, Item, ItemScale, Work, claim, run_jobs
from lastbit.report.charts import Figure, write_figures
from lastbit.report.table import Table

NAMES = tuple(ITEMS)


def item(name) -> Item:
    return ITEMS[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_item_states_its_scales_and_what_they_cut(name):
    this = item(name)
    assert this.id == name
    assert tuple(this.scales) == SCALES
    assert this.scales["paper"].cuts == ""
    assert (this.scales["smoke"].cuts == "") == (this.scales["smoke"].settings == this.scales["paper"].settings)
    for scale in this.scales.values():
        assert json.loads(json.dumps(scale.settings)) == scale.settings


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_plain_json_that_claims_and_drawings_read(name, smoke):
    result = smoke(name)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["item"], result["scale"]) == (name, "smoke")
    claims = item(name).claims(result)
    assert claims
    for made in claims:
        assert set(made) == {"claim", "published", "measured", "interval", "holds", "reason"}
        assert json.loads(json.dumps(made, allow_nan=False)) == made
        assert made["holds"] in (True, False, None)
        assert made["holds"] is not None or made["reason"]
    assert len({made["claim"] for made in claims}) == len(claims)


@pytest.mark.parametrize("name", NAMES)
def test_drawings_carry_a_finding_and_fill_their_cells(name, smoke):
    drawings = item(name).draw(smoke(name))
    assert len({drawing.name for drawing in drawings}) == len(drawings)
    for drawing in drawings:
        assert drawing.title
        assert drawing.note.endswith(".")
        if isinstance(drawing, Table):
            assert all(len(row) == len(drawing.columns) for row in drawing.rows)
        else:
            assert drawing.spec()["datasets"]["rows"]


def test_every_figure_of_every_item_is_written(tmp_path, smoke):
    for name in NAMES:
        figures = [drawing for drawing in item(name).draw(smoke(name)) if isinstance(drawing, Figure)]
        written = write_figures(figures[:1], tmp_path / name)
        assert [path.suffix for path in written] == [".png", ".svg"] * min(1, len(figures))
        assert all(path.stat().st_size > 5_000 for path in written)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="scale 'tiny': allowed are smoke, laptop, paper"):
        item("figure1").reproduce("tiny")


def test_a_result_keeps_its_settings_and_loses_what_is_not_finite():
    found = Item(
        id="x",
        title="",
        shows="",
        scales={"smoke": ItemScale({"n": 2})},
        published={},
        run=lambda settings, work: {"double": 2 * settings["n"], "gone": float("inf")},
        claims=lambda result: [],
        draw=lambda result: [],
    ).reproduce("smoke")
    assert found == {"item": "x", "scale": "smoke", "settings": {"n": 2}, "double": 4, "gone": None}


def test_a_claim_may_be_undecided():
    made = claim("c", published=1, measured=2, holds=None, interval=(1, 3), reason="too small")
    assert made["holds"] is None
    assert made["interval"] == [1, 3]
    assert made["reason"] == "too small"


calls = []


def double(*, n):
    calls.append(n)
    if n == 13:
        raise RuntimeError("unlucky")
    return {"double": 2 * n, "gone": float("nan")}


@pytest.mark.parametrize("helped", [False, True])
def test_answers_come_in_order_and_are_not_computed_again(tmp_path, helped):
    calls.clear()
    with ThreadPoolExecutor(2) as pool:
        work = Work(tmp_path, pool if helped else None)
        expected = [{"double": 2 * n, "gone": None} for n in (3, 1, 2)]
        assert run_jobs(double, [{"n": n} for n in (3, 1, 2)], work) == expected
        assert run_jobs(double, [{"n": n} for n in (2, 4)], work) == [expected[2], {"double": 8, "gone": None}]
    assert sorted(calls) == [1, 2, 3, 4]


def test_what_was_done_before_a_failure_is_kept(tmp_path):
    calls.clear()
    with pytest.raises(RuntimeError, match="unlucky"):
        run_jobs(double, [{"n": 1}, {"n": 13}], Work(tmp_path))
    run_jobs(double, [{"n": 1}], Work(tmp_path))
    assert calls == [1, 13]
