import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import lastbit

ROOT = Path(lastbit.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ROOMS = (
    "noise",
    "optimizers",
    "divergence",
    "pde",
    "curvature",
    "script",
    "study",
    "study.comparison",
    "integrations",
)
LEAVES = ("noise", "optimizers", "divergence", "pde", "curvature")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

# "the paper's section 4.1", "eq. 14", "Theorem 5.3", "Hillis 2007", "appendix E"
SOURCE = re.compile(
    r"\b[Pp]aper\b|\b(section|eq\.|[Tt]heorem|[Ff]igure|[Tt]able|[Aa]ppendix) ?[A-Z0-9]"
    r"|[A-Z][a-z]+,? (et al\. )?\(?(1[89]|20)\d\d|\bet al\."
)
# "(n,)", "(..., height, width)", "2 x 2", "of the shape of z", "one number for each step"
SHAPE = re.compile(r"\([\w. ]+,[\w ,.]*\)|\w x \w|\bshape|\bscalar|\bfor each\b|\bfield|\bindexed\b|\baxis\b|\baxes\b")
# "θ ← θ − (lr·k)·(d/k)", "exp(-t)"
FORMULA = re.compile(r"[=‖λθΣ∑∂∇√²·×≤≥∈^≈/]|->|\|\w")
# Exported, but no number comes out of it that a formula could give.
COMPUTES_NOTHING = {
    *("Study", "open_study", "local_pool", "compare"),
    *("noise_from_json", "Option", "Arguments", "Family"),
    *("activation_sides", "differing_sides", "check_shapes", "stays_apart", "horizon", "ulp_distance"),
    *("Model", "as_layers", "read_image", "noise", "phase"),
}
HOLDS_NUMBERS = re.compile(r"\b(Tensor|NDArray|ndarray|Array|ArrayLike)\b")


def definitions(
    node: ast.AST, outer: tuple[Definition, ...] = ()
) -> Iterator[tuple[Definition, tuple[Definition, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield child, outer
            yield from definitions(child, (*outer, child))
        else:
            yield from definitions(child, outer)


def raised(node: ast.AST) -> set[str]:
    """Names of the exceptions that a function's own statements raise, those of functions inside it left out."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition | ast.Lambda):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            error = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            found |= {error.id} if isinstance(error, ast.Name) and error.id[0].isupper() else set()
        found |= raised(child)
    return found


def is_command(node: Definition) -> bool:
    """Whether it belongs to the command line, where an error is an exit status and the docstring is the help text."""
    return any(
        "typer" in ast.unparse(each.annotation) or "Option" in ast.unparse(each.annotation)
        for each in getattr(getattr(node, "args", None), "args", ())
        if each.annotation
    )


def undocumented(tree: ast.AST) -> list[str]:
    return [node.name for node, _ in definitions(tree) if not node.name.startswith("_") and not ast.get_docstring(node)]


def unsaid_errors(tree: ast.AST) -> list[str]:
    """Public functions that raise what neither their docstring nor, for a constructor, their class's says."""
    unsaid = []
    for node, outer in definitions(tree):
        constructs = node.name in ("__init__", "__post_init__")
        if isinstance(node, ast.ClassDef) or is_command(node) or (node.name.startswith("_") and not constructs):
            continue
        said = (ast.get_docstring(node) or "") + (ast.get_docstring(outer[-1]) or "" if constructs else "")
        missing = {name for name in raised(node) if not re.search(rf"\b{name}\b", said)} - {"NotImplementedError"}
        unsaid += [f"{'.'.join(each.name for each in (*outer, node))} raises {name}" for name in sorted(missing)]
    return unsaid


def public_objects(rooms: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    for place in ("lastbit", *(f"lastbit.{room}" for room in rooms)):
        module = import_module(place)
        for name in module.__all__:
            yield f"{place}.{name}", getattr(module, name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_module_defines_is_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    assert undocumented(tree) == []
    assert unsaid_errors(tree) == []


def test_every_exported_name_has_a_docstring():
    named = [(name, thing) for name, thing in public_objects(ROOMS) if callable(thing) or inspect.ismodule(thing)]
    assert len(named) > 150
    assert [name for name, thing in named if not inspect.getdoc(thing)] == []


def unsourced(thing: object) -> bool:
    """Whether neither a thing nor its file says by what formula it computes, or where that stands.

    A frozen record of results is explained by the comments of its fields.
    """
    said = "\n".join(inspect.getdoc(each) or "" for each in (thing, import_module(thing.__module__)))
    return not (dataclasses.is_dataclass(thing) or SOURCE.search(said) or FORMULA.search(said))


def test_every_exported_name_that_computes_has_a_formula_or_a_source():
    rooms = (*LEAVES, "study", "statistics")
    named = [
        (name, thing)
        for name, thing in public_objects(LEAVES)
        if hasattr(thing, "__qualname__") and thing.__module__.split(".")[1] in rooms
    ]
    assert len(named) > 100
    missing = {name.rpartition(".")[2] for name, thing in named if unsourced(thing)}
    assert missing - COMPUTES_NOTHING == set()


def test_a_missing_formula_would_be_found():
    assert unsourced(public_objects)
    assert unsourced(lastbit.noise.noise_from_json)  # although its room's docstring has formulas
    assert not unsourced(lastbit.divergence.relative_l2)


def test_what_takes_or_gives_numbers_says_their_shape():
    def numeric(thing: object) -> bool:
        text = inspect.getsource(thing) if inspect.isclass(thing) else str(inspect.signature(thing))
        return bool(HOLDS_NUMBERS.search(text))

    named = [
        (name, thing) for name, thing in public_objects(LEAVES) if hasattr(thing, "__qualname__") and numeric(thing)
    ]
    assert len(named) > 40
    assert [name for name, thing in named if not SHAPE.search(inspect.getsource(thing))] == []


FAULTY = '''
class Kept:
    """Is kept."""

    def __init__(self, size):
        if size < 0:
            raise ValueError(size)

    def grow(self):
        def inner():
            """Raise elsewhere."""
            raise TypeError
        raise KeyError("grow")

def said():
    """Fail.

    Raises:
        OSError: always.
    """
    raise OSError
'''


def test_the_checks_find_what_is_missing():
    tree = ast.parse(FAULTY)
    assert undocumented(tree) == ["grow"]
    assert unsaid_errors(tree) == [
        "Kept.__init__ raises ValueError",
        "Kept.grow raises KeyError",
        "Kept.grow.inner raises TypeError",
    ]
