import xml.etree.ElementTree as ET

from PIL import Image

from lastbit.report.charts import Axis, Curve, Figure, line_chart, write_figures


def _figure(name):
    curves = [Curve("a", [0, 1], [1.0, 10.0]), Curve("b", [0, 1], [2.0, 20.0])]
    chart = line_chart(curves, x=Axis("update step"), y=Axis("loss", log=True))
    return Figure(name, f"The finding of {name}", "A note.", chart)


def test_figures_are_written_under_their_names_and_empty_ones_left_out(tmp_path):
    written = write_figures([_figure("one"), Figure("none", "Nothing", "No data."), _figure("two")], tmp_path / "out")
    assert [path.name for path in written] == ["one.png", "one.svg", "two.png", "two.svg"]
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    with Image.open(written[0]) as image:
        assert image.width > 1400
    texts = [element.text for element in ET.fromstring(written[3].read_bytes()).iter() if element.text]
    assert {"The finding of two", "A note.", "update step", "loss (log scale)", "a"} <= set(texts)


def test_no_figures_no_files(tmp_path):
    assert write_figures([], tmp_path) == []
    assert list(tmp_path.iterdir()) == []
