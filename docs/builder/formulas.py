"""Formulas between dollar signs, set as MathML when the site is built: browsers draw it without fonts or scripts."""

import re

from latex2mathml.converter import convert

_CODE = re.compile(r"^```.*?^```$|^(?:    .*\n?)+|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_FORMULA = re.compile(r"\$\$(?P<shown>.+?)\$\$|\$(?P<inline>(?:[^$\n]|\n(?!\n))+)\$", re.DOTALL)
# Characters of MathML that Markdown would take for its own.
_MARKDOWN = {ord(character): f"&#{ord(character)};" for character in "*_`[]\\"}


def set_formulas(text: str) -> str:
    """Replace `$...$` and `$$...$$` outside of code by MathML, inline and on a line of its own."""
    parts, at = [], 0
    for code in _CODE.finditer(text):
        # A fence's first line may hold an indented one: fences are found first where they begin first.
        parts += [_FORMULA.sub(_as_mathml, text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, _FORMULA.sub(_as_mathml, text[at:])])


def _as_mathml(found: re.Match[str]) -> str:
    if found["shown"]:
        return f'<div class="formula">{convert(found["shown"].strip(), display="block")}</div>'
    return convert(found["inline"]).translate(_MARKDOWN)
