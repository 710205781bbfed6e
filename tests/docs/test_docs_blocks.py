import json
import re
from pathlib import Path

import pytest
from docs.builder.blocks import BlockError, Session, blocks, run_page
from docs.builder.formulas import set_formulas
from docs.builder.links import check_links

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_written_to_a_file_or_says_why_not(page):
    text = page.read_text()
    found = list(blocks(text))
    assert 2 * len(found) == sum(line.startswith("```") for line in text.splitlines())
    assert [block.code for block in found if not block.orders.keys() & {"run", "file", "skip"}] == []


def test_every_page_is_in_the_navigation():
    listed = (ROOT / "zensical.toml").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES]
    assert [page for page in pages if f'"{page}"' not in listed] == []


def run(text, tmp_path):
    return run_page(text, Session(tmp_path), tmp_path / "made")


def test_blocks_share_names_and_files_and_show_their_output(tmp_path):
    page = (
        "```python file=a.py\nprint(3)\n```\n```python run\nx = 2\n```\n"
        "```python run\nprint(x * 21)\n```\n```sh run\ncat a.py\n```\n"
    )
    shown = run(page, tmp_path)
    assert '```python title="a.py"\nprint(3)\n```' in shown
    assert '```text title="Output"\n42\n```' in shown
    assert '```text title="Output"\nprint(3)\n```' in shown


def test_a_hidden_block_runs_and_is_not_shown(tmp_path):
    shown = run("```python run hide\nx = 2\n```\n```python run\nprint(x + 40)\n```\n", tmp_path)
    assert "x = 2" not in shown
    assert '```text title="Output"\n42\n```' in shown


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```python run\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```sh run\nfalse | cat\n```\n", "exit status 1"),
        ("```sh run fails=2\ntrue\n```\n", "exit status 0"),
        ('```sh run says="4.2"\necho 5\n```\n', "no '4.2'"),
        ("```sh run picture=a.svg\ntrue\n```\n", "there is no a.svg"),
        ("```sh runs\ntrue\n```\n", "unknown runs"),
    ],
)
def test_a_block_that_fails_stops_the_build(page, message, tmp_path):
    with pytest.raises(BlockError, match=message):
        run(page, tmp_path)


def test_a_picture_is_kept_beside_the_page(tmp_path):
    shown = run('```sh run picture=a.svg alt="A line"\necho drawn > a.svg\n```\n', tmp_path)
    assert "![A line](made/a.svg)" in shown
    assert (tmp_path / "made" / "a.svg").read_text() == "drawn\n"
    assert "](made/b.html)" in run("```sh run page=b.html\necho x > b.html\n```\n", tmp_path)


def test_formulas_become_mathml_outside_of_code():
    shown = set_formulas("$a_1 +\nb$ and `$b$`\n\n```sh\necho $c $d\n```\n\n$$x^2$$\n")
    assert shown.count("<math") == 2
    assert "`$b$`" in shown
    assert "echo $c $d" in shown
    assert '<div class="formula"><math' in shown


def test_links_that_lead_nowhere_and_files_from_elsewhere_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text('<h2 id="here"></h2><a href="../#top">x</a>')
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="a/#here">1</a><a href="a/#gone">2</a><a href="b/">3</a><a href="https://x.org/">4</a>'
        '<script src="https://x.org/y.js"></script>'
    )
    found = check_links(tmp_path)
    assert found.broken == ("index.html: a/#gone", "index.html: b/")
    assert found.loaded == ("index.html: https://x.org/y.js",)
    assert (found.checked, found.external) == (4, 1)


FIGURE = re.compile(r"(-?[\d,]*\.?\d+)<!-- (\w+): (.+?) -->")


def figures(text):
    """What a page quotes from the benchmarks: the number, its benchmark, and the way to it in the figures."""
    return [(number.replace(",", ""), name, way.split(" / ")) for number, name, way in FIGURE.findall(text)]


def wrong_figures(text, measured):
    """The quoted figures that the results do not round to."""
    wrong = []
    for number, name, way in figures(text):
        value = measured[name]["figures"]
        for key in way:
            value = value[int(key) if isinstance(value, list) else key]
        if f"{value:.{len(number.partition('.')[2])}f}" != number:
            wrong.append(f"{name}: {' / '.join(way)} is {value}, not {number}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_pages_quote_of_the_benchmarks_is_what_was_measured(page):
    assert wrong_figures(page.read_text(), json.loads((ROOT / "results" / "benchmarks.json").read_text())) == []


def test_a_wrong_figure_would_be_found():
    measured = {"speed": {"figures": {"rows": [{"ratio": 1.2345}]}}}
    assert wrong_figures("is 1.23<!-- speed: rows / 0 / ratio -->", measured) == []
    assert wrong_figures("is 1.24<!-- speed: rows / 0 / ratio -->", measured) == [
        "speed: rows / 0 / ratio is 1.2345, not 1.24"
    ]
