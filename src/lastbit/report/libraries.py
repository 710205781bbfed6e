"""The chart libraries a page carries with it."""

from functools import cache

import altair as alt
import vl_convert


def vega_lite_version() -> str:
    """The version of Vega-Lite that altair writes, as vl-convert names it: `6.4`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


@cache  # bundling takes a second or more
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that fetches nothing and defines `vegaEmbed`."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version())
    # An HTML page ends a script at the first such tag, even inside a string.
    return bundle.replace("</script", r"<\/script")
