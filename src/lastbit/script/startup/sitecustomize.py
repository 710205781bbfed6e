"""Imported by Python at its start in every process that a trial or an audited run starts, by PYTHONPATH.

It waits for torch. A process that never imports torch, such as a compiler, pays for one look at its environment.
Whatever `sitecustomize` there would be without this one is imported as well.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

ORDER = "LASTBIT_JOIN"  # set by lastbit.script.joining, which this file must not import before it is needed


class _Waiting:
    """Stands among the finders of modules until torch is asked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Torch's own spec, once this process has joined the run that started it; None for other modules."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        try:
            joining = import_module("lastbit.script.joining")  # which takes the name of the order from here
        except ImportError as error:  # another Python than lastbit's: its absence is reported by the starting process
            sys.stderr.write(f"lastbit: {sys.executable} cannot follow this process: {error}\n")
        else:
            joining.join(os.environ[ORDER])
        return find_spec(name)


def _import_the_other() -> None:
    """Import the `sitecustomize` that this one hides, and leave `sys.path` as it would be without this one."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is not to be imported in every process
    sys.path[:] = [place for place in sys.path if place != here]
    ours = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":  # imported by Python, and not for its name of the order
    _import_the_other()
    if ORDER in os.environ:
        sys.meta_path.insert(0, _Waiting())
