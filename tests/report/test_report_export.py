import xml.etree.ElementTree as ET

import pytest
from PIL import Image
from report_examples import make_empty_study, make_study

from lastbit.report.study import write_charts


def test_every_chart_is_written_as_png_and_svg(tmp_path):
    written = write_charts([make_study("<b>/../x</b>"), make_empty_study()], tmp_path / "charts")
    names = [
        "comparison",
        *(f"b-x-b-{name}" for name in ("accuracy", "spread", "variance", "gain", "rel-l1", "rel-l1-layers")),
    ]
    assert [path.name for path in written] == [f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    assert sorted((tmp_path / "charts").iterdir()) == sorted(written)
    for path in written:
        _is_drawn(path) if path.suffix == ".png" else _is_titled(path)


def _is_drawn(path):
    with Image.open(path) as image:
        image.load()
        assert image.width > 1400
        assert image.height > 350
        colours = image.convert("RGB").getcolors(maxcolors=2**20)
    # Axes, text and at least one of the palette's hues: blue for the first category.
    assert len(colours) > 20
    assert any(blue > red + 60 for _, (red, _, blue) in colours)


def _is_titled(path):
    root = ET.fromstring(path.read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter() if element.text]
    assert any("last" in text or "RelL1" in text for text in texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5


def test_no_study_no_charts(tmp_path):
    with pytest.raises(ValueError, match="at least one study"):
        write_charts([], tmp_path / "charts")
    assert list(tmp_path.iterdir()) == []
