"""One HTML file from a template and its charts, with everything it needs inside."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, UndefinedError

from lastbit.report.look import config


def document(template: str, *, specs: Mapping[str, Any], libraries: str, **content: Any) -> str:
    """The page's HTML.

    Args:
        template: one that extends `base.html.j2`.
        specs: Vega-Lite of every chart by the id of its place on the page.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
        **content: what the template shows.

    Raises:
        LookupError: the content lacks something that the template shows.
    """
    environment = Environment(
        loader=PackageLoader("lastbit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return _rendered(environment.get_template(template), specs, libraries, content)
    except UndefinedError as error:
        raise LookupError(str(error)) from error


def _rendered(template: Template, specs: Mapping[str, Any], libraries: str, content: Mapping[str, Any]) -> str:
    return template.render(
        charts={"looks": {ground: config(ground) for ground in ("light", "dark")}, "specs": specs},
        style=_asset("style.css"),
        drawing=_asset("charts.js") + _asset("tables.js"),
        libraries=libraries,
        **content,
    )


def _asset(name: str) -> str:
    return (resources.files("lastbit.report") / "templates" / name).read_text(encoding="utf-8")
