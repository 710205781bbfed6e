import json

import pytest

from lastbit.cli import demo
from lastbit.cli.commands import app


@pytest.fixture(scope="module", autouse=True)
def demo_directory(tmp_path_factory):
    """The demo with one seed and two noises; the tests of the wheel run all of it."""
    directory = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_SEEDS", (1,))
        patch.setattr(demo, "_NOISES", (1, 3))
        app(["demo", "--scale", "smoke", "--workers", "2", "--out", str(directory)], standalone_mode=False)
        yield directory


def test_the_demo_shows_relu_and_swish(lastbit, demo_directory):
    code, out, _ = lastbit("demo", "--scale", "smoke", "--out", demo_directory, "--json", "-")
    assert code == 0
    results = json.loads(out)
    assert list(results) == ["demo", "demo-swish"]
    assert all(found["controls"] == {"repeat": True, "power_of_two": True} for found in results.values())
    assert all(len(found["trials"]) == 2 for found in results.values())
    page = (demo_directory / "report.html").read_text()
    assert all(found["verdict"].split(";")[0][:40] in page for found in results.values())


def test_a_second_demo_trains_nothing_and_leaves_the_page(lastbit, demo_directory):
    before = (demo_directory / "report.html").stat().st_mtime_ns
    code, out, _ = lastbit("demo", "--scale", "smoke", "--out", demo_directory)
    assert code == 0
    assert out.count("controls: ") == 2
    assert (demo_directory / "report.html").stat().st_mtime_ns == before


def test_a_page_that_is_gone_is_drawn_again(lastbit, demo_directory):
    (demo_directory / "report.html").unlink()
    assert lastbit("demo", "--scale", "smoke", "--out", demo_directory)[0] == 0
    assert (demo_directory / "report.html").exists()


def test_an_unknown_scale_is_refused(lastbit, tmp_path):
    code, _, err = lastbit("demo", "--scale", "huge", "--out", tmp_path / "demo")
    assert code == 2
    assert "allowed are paper, smoke" in err
