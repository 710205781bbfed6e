import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lastbit.cli import paper_run
from lastbit.paper import catalogue, results, suite
from lastbit.paper.item import Cost, Item, ItemScale, claim
from lastbit.storage.files import write_checksummed
from lastbit.storage.locks import directory_lock

CLAIM_KEYS = {"claim", "published", "measured", "interval", "holds", "reason"}
RAN = []


def double(settings, work):
    RAN.append(settings["n"])
    return {"double": 2 * settings["n"], "where": str(work.directory)}


def melt(settings, work):
    raise RuntimeError("the kernel melted\nand dripped")


def claims(result):
    right = result["double"] == 2 * result["settings"]["n"]
    return [
        claim("It doubles", published=4, measured=result["double"], holds=right),
        claim("It halves", published=1, measured=result["double"], holds=False, reason="It doubles."),
        claim("It rests", published=None, measured=None, holds=None, interval=[0, 2], reason="Too short to tell."),
    ]


def make_item(id, run=double, **cost):
    scales = {
        name: ItemScale(
            {"n": n}, "" if name == "paper" else "fewer", Cost(**{"seconds": 90.0, "memory_mib": 1, **cost})
        )
        for name, n in (("smoke", 2), ("laptop", 20), ("paper", 200))
    }
    texts = {"title": f"The title of {id}", "shows": f"What {id} shows."}
    return Item(id=id, **texts, scales=scales, published={"n": 2}, run=run, claims=claims, draw=lambda result: [])


@pytest.fixture
def items(monkeypatch):
    """A paper of a few quick items, run by threads of this process."""

    @contextmanager
    def threads(executors):
        with ThreadPoolExecutor(executors.workers) as executor:
            yield executor

    def install(*made):
        for module in (catalogue, results):
            monkeypatch.setattr(module, "ITEMS", {each.id: each for each in made})

    monkeypatch.setattr(paper_run.Executors, "executor", threads)
    RAN.clear()
    install(make_item("figure1"), make_item("table2"))
    return install


def run(lastbit, *arguments):
    code, out, err = lastbit("paper", "run", *arguments, "--json", "-")
    assert code == 0, err
    return json.loads(out)


def test_two_real_items_on_two_workers(lastbit, tmp_path):
    found = run(lastbit, "tab3", "Figure 1", "--scale", "smoke", "--workers", 2, "--out", tmp_path / "kept")
    assert [each["id"] for each in found] == ["figure1", "table3"]
    for each in found:
        assert set(each) == {"id", "scale", "claims", "seconds"}
        assert each["scale"] == "smoke"
        assert each["seconds"] > 0
        assert each["claims"]
        assert all(set(made) == CLAIM_KEYS and made["holds"] is True for made in each["claims"])
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {
        ".lock",
        "index.json",
        "paper.html",
        "figure1.json",
        "table3.json",
        "work",
    }
    html = (tmp_path / "kept" / "paper.html").read_text()
    assert "Of 10 claims 10 hold" in html
    assert "figure1-figure1-growth" in html
    code, out, _ = lastbit("paper", "list", "--out", tmp_path / "kept", "--json", "-")
    last = {row["id"]: row["last"] for row in json.loads(out)}
    assert code == 0
    assert [(each["scale"], each["hold"], each["fail"], each["undecided"]) for each in last["table3"]] == [
        ("smoke", 7, 0, 0)
    ]
    assert last["table9"] == []


def test_what_is_stored_is_not_run_again(lastbit, items, tmp_path):
    first = run(lastbit, "figure1", "--scale", "smoke", "--out", tmp_path)
    both = run(lastbit, "all", "--scale", "smoke", "--out", tmp_path)
    assert RAN == [2, 2]
    assert both[0] == first[0]
    _, out, _ = lastbit("paper", "run", "all", "--scale", "smoke", "--out", tmp_path)
    assert RAN == [2, 2]
    assert "scale smoke: 2 of 2 items are stored already\n" in out


def test_the_index_holds_every_stored_item_and_the_answer_those_asked_for(lastbit, items, tmp_path):
    run(lastbit, "figure1", "--scale", "smoke", "--out", tmp_path)
    (asked,) = run(lastbit, "table2", "--scale", "smoke", "--out", tmp_path)
    assert asked["id"] == "table2"
    index = json.loads((tmp_path / "index.json").read_text())
    assert [each["id"] for each in index["items"]] == ["figure1", "table2"]
    assert index["items"][1] == asked


def test_trainings_go_where_they_are_told(lastbit, items, tmp_path):
    def where(name):
        return json.loads((tmp_path / "kept" / f"{name}.json").read_text())["result"]["where"]

    run(lastbit, "figure1", "--scale", "smoke", "--out", tmp_path / "kept")
    run(lastbit, "table2", "--scale", "smoke", "--out", tmp_path / "kept", "--work", tmp_path / "trainings")
    assert where("figure1") == str(tmp_path / "kept" / "work" / "figure1")
    assert where("table2") == str(tmp_path / "trainings" / "table2")


def test_results_are_kept_by_scale_where_nobody_says_where(lastbit, items, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(lastbit, "figure1", "--scale", "smoke")
    run(lastbit, "figure1")
    assert RAN == [2, 20]
    assert (tmp_path / "runs" / "paper-smoke" / "paper.html").is_file()
    assert (tmp_path / "runs" / "paper-laptop" / "paper.html").is_file()
    _, out, _ = lastbit("paper", "list")
    # Marks of both scales, and the duration as people say it.
    assert "✓ 1 ✗ 1 ? 1 (smoke)" in out
    assert "✓ 1 ✗ 1 ? 1 (laptop)" in out
    assert "90 s" in out or "2 min" in out


def test_claims_are_printed_with_marks_and_what_decided_those_that_do_not_hold(lastbit, items, tmp_path):
    code, out, err = lastbit("paper", "run", "figure1", "--scale", "smoke", "--out", tmp_path, "--workers", 1)
    assert (code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "scale smoke: 1 item to run, about 2 min on 1 worker"
    assert lines[1] == "figure1: The title of figure1"
    assert lines[2] == "✓ It doubles"
    assert lines[3:5] == ["✗ It halves", "published 1; measured 4. It doubles."]
    assert lines[5:7] == ["? It rests", "published –; measured –. Too short to tell."]
    assert lines[7] == "Of 3 claims 1 holds, 1 does not and 1 is not decided."
    assert lines[8] == f"page: {tmp_path / 'paper.html'}"


def test_an_item_that_fails_is_reported_at_the_end_and_loses_no_other(lastbit, items, tmp_path):
    items(make_item("figure1", run=melt), make_item("table2"))
    code, out, err = lastbit("paper", "run", "all", "--scale", "smoke", "--out", tmp_path, "--json", "-")
    traceback = tmp_path / "failed" / "figure1.txt"
    assert code == 1
    assert err.splitlines()[1:] == [
        f"lastbit: figure1 failed, RuntimeError: the kernel melted (traceback in {traceback})"
    ]
    assert [each["id"] for each in json.loads(out)] == ["table2"]
    assert "in melt\n" in traceback.read_text()
    assert "Not run: figure1." in (tmp_path / "paper.html").read_text()
    # Once it is mended, it runs, and nothing is left of the failure.
    items(make_item("figure1"), make_item("table2"))
    assert [each["id"] for each in run(lastbit, "all", "--scale", "smoke", "--out", tmp_path)] == ["figure1", "table2"]
    assert RAN == [2, 2]
    assert not traceback.exists()


def test_the_page_is_drawn_again_from_what_is_stored(lastbit, items, tmp_path):
    run(lastbit, "all", "--scale", "smoke", "--out", tmp_path)
    html = (tmp_path / "paper.html").read_text()
    drawn, index = tmp_path / "paper.html", tmp_path / "index.json"
    drawn.write_text(html.replace("It doubles", "It trebles"))
    altered = json.loads(index.read_text().replace("It doubles", "It trebles"))
    write_checksummed(index, {name: content for name, content in altered.items() if name != "checksum"})
    assert lastbit("paper", "page", tmp_path) == (0, f"{tmp_path / 'paper.html'}\n", "")
    assert (tmp_path / "paper.html").read_text() == html
    assert "It trebles" not in (tmp_path / "index.json").read_text()
    assert RAN == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["figure55"], "there is no item 'figure55' in the paper: did you mean figure1?"),
        (["nothing"], "there is no item 'nothing' in the paper: items are figure1, table2, and all"),
        (["figure1", "--scale", "tiny"], "--scale tiny: allowed are smoke, laptop, paper"),
        (["figure1", "--workers", "0"], "--workers 0: at least 1 is needed"),
        (["figure1", "--device", "tpu"], "device 'tpu': allowed are auto, cpu, cuda, cuda:N"),
        (
            ["figure1", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
            "--workers and --scheduler: give one, for processes here or for a cluster's workers",
        ),
    ],
)
def test_wrong_input_is_one_line(lastbit, items, tmp_path, arguments, complaint):
    code, out, err = lastbit("paper", "run", *arguments, "--out", tmp_path / "kept")
    assert (code, out, err) == (2, "", f"lastbit: {complaint}\n")
    assert not (tmp_path / "kept").exists()


def test_a_directory_of_another_scale_or_of_other_things_is_left_alone(lastbit, items, tmp_path):
    run(lastbit, "figure1", "--scale", "smoke", "--out", tmp_path / "kept")
    code, out, err = lastbit("paper", "run", "figure1", "--scale", "paper", "--out", tmp_path / "kept")
    assert (code, out) == (2, "")
    assert err == (
        f"lastbit: {tmp_path / 'kept'} holds results at scale 'smoke', not 'paper': choose another directory\n"
    )
    code, out, err = lastbit("paper", "run", "figure1", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "holds other files (" in err
    assert RAN == [2]
    code, out, err = lastbit("paper", "page", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"lastbit: {tmp_path} holds no results of the paper: there is no index.json in it\n"
    assert lastbit("paper", "list", "--out", tmp_path)[0] == 2


def test_a_damaged_result_is_named(lastbit, items, tmp_path):
    run(lastbit, "figure1", "--scale", "smoke", "--out", tmp_path)
    (tmp_path / "figure1.json").write_text("{")
    code, out, err = lastbit("paper", "run", "figure1", "--scale", "smoke", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'figure1.json'} is not valid JSON" in err


def test_missing_data_is_reported_before_anything_starts(lastbit, items, tmp_path, monkeypatch):
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path / "data"))
    items(make_item("figure1", data=("cifar10",)), make_item("table2"))
    code, out, err = lastbit("paper", "run", "all", "--out", tmp_path / "kept")
    assert (code, out) == (2, "")
    assert err == (
        f"lastbit: data set 'cifar10' is not at {tmp_path / 'data' / 'cifar10.npz'}: run `lastbit data fetch cifar10`\n"
    )
    assert RAN == []
    assert not (tmp_path / "kept").exists()


def test_too_little_memory_or_disk_is_reported_before_anything_starts(lastbit, items, tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "available_memory_mib", lambda: 512)
    items(make_item("figure1", memory_mib=2000), make_item("table2", disk_mib=10**10))
    code, out, err = lastbit("paper", "run", "figure1", "--out", tmp_path / "kept")
    assert (code, out) == (2, "")
    assert err.startswith(
        "lastbit: scale 'laptop' needs about 2.0 GiB of memory on these workers, 512 MiB are available"
    )
    code, out, err = lastbit("paper", "run", "table2", "--out", tmp_path / "kept")
    assert (code, out) == (2, "")
    assert err.startswith("lastbit: scale 'laptop' needs about 9765625.0 GiB of disk space, ")
    assert not (tmp_path / "kept").exists()


def test_a_list_of_the_real_items_says_what_each_takes(lastbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = lastbit("paper", "list")
    assert (code, err) == (0, "")
    assert all(id in out for id in catalogue.ITEMS)
    assert lastbit("paper", "list", "--json", "list.json")[0] == 0
    rows = json.loads((tmp_path / "list.json").read_text())
    for row in rows:
        assert set(row["scales"]) == {"smoke", "laptop", "paper"}
        costs = [row["scales"][scale]["seconds"] for scale in ("smoke", "laptop", "paper")]
        assert costs == sorted(costs)
        assert row["last"] == []


def test_trainings_that_another_run_is_at_are_left_alone(lastbit, tmp_path):
    arguments = ("figure1", "--scale", "smoke", "--out", tmp_path / "results", "--work", tmp_path, "--workers", 1)
    with directory_lock(tmp_path):
        code, _, err = lastbit("paper", "run", *arguments)
    assert code == 2
    assert f"{tmp_path} is in use by another run" in err
