"""The three regimes of the activation (table 3)."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.pde.significant import significant
from lastbit.report.pde.table import Table

# Region, linear PDE on the window, and stability condition, with D(u) = Σ_x I(x + u) and G = I ⋆ (I ⋆ ·).
_THEORY = {
    "activated": ("βz > 1", "K_t = −(σ′ D Dᵀ K + a D + αK)", "0 < Δt (α + σ′ λ) < 2 for the eigenvalues λ of D Dᵀ"),
    "transitioning": (
        "|βz| ≤ 1",
        "K_t = −(a/2)(D + β G K) − αK",
        "0 < Δt (α + (aβ/2) λ) < 2 for the eigenvalues λ of G",
    ),
    "not activated": ("βz < −1", "K_t = −αK", "0 < Δt α < 2"),
}


def regimes_table(result: Mapping[str, Any]) -> Table:
    """A row for each regime: its region, linear PDE, condition, and for each case its bounds on weight decay.

    Args:
        result: for each of `cases` its `name`, `lr`, and for each of `rows` its `regime`, `lower` and `upper`.
    """
    cases = result["cases"]
    names = [f"{case['name']}: α at Δt = {significant(case['lr'])}" for case in cases]
    columns = ["regime", "region", "linear PDE", "stable iff", *names]
    rows = [[regime, *theory, *(_bounds(case, regime) for case in cases)] for regime, theory in _THEORY.items()]
    first = _row(cases[0], "transitioning")
    title = (
        "The transitioning regime alone needs weight decay: "
        f"at least {significant(first['lower'])} for {cases[0]['name']}’s settings"
    )
    note = (
        "The linear PDE on the kernel’s window in each regime of Swish, its stability condition and the exact bounds "
        "on weight decay. D is the sum of the image as each kernel entry sees it, G the Gram operator of its patches."
    )
    needy = {row["regime"] for case in cases for row in case["rows"] if row["lower"] > 0}
    return Table("table3", title if needy == {"transitioning"} else "Bounds of three regimes", note, columns, rows)


def _bounds(case: Mapping[str, Any], regime: str) -> str:
    row = _row(case, regime)
    if row["lower"] >= row["upper"]:
        return f"none (above {significant(row['lower'])} and below {significant(row['upper'])})"
    return f"{significant(row['lower'])} to {significant(row['upper'])}"


def _row(case: Mapping[str, Any], regime: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(row for row in case["rows"] if row["regime"] == regime)
    return found
