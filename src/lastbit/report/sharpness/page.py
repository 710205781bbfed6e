"""The page of a series of sharpness; a terminal prints rows of its tables."""

from pathlib import Path

from lastbit.report.numbers import MISSING, scientific, significant
from lastbit.report.page import Block, Details, Facts, Heading, Page, Section, Text, write_page
from lastbit.report.settings import flat_settings, settings_table
from lastbit.report.sharpness.beside import batch_rows, batch_table
from lastbit.report.sharpness.charts import EDGE, sharpness_figures
from lastbit.report.sharpness.stored import Measured, SeriesJson, as_series, diverged_at, measured
from lastbit.report.study.account import cuts, verdict_first
from lastbit.report.table import Cell, Table

_COLUMNS = ("loss", "sharpness", "residual", "edge", "normalised")
_ELSEWHERE = ("rows", "losses", "recipe", "finding")  # on the page


def write_sharpness(series: SeriesJson, path: Path) -> None:
    """Write the page of a series, one file that opens offline.

    Args:
        series: as `sharpness.json` holds it.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: this is no series.
    """
    write_page(sharpness_page(as_series(series)), path)


def sharpness_page(series: SeriesJson) -> Page:
    """The page.

    Args:
        series: as `as_series` gives it.
    """
    recipe = series["recipe"]
    description = str(recipe.get("description") or "").rstrip(".")
    settings = {name: value for name, value in series.items() if name not in _ELSEWHERE}
    body: list[Block] = [Text(f"{description}.", "lead")] if description else []
    body += [
        Facts(_facts(series)),
        *sharpness_figures(series),
        Section("", [Heading("What was measured, and how certain it is"), *map(Text, series_method(series))], "method"),
        Heading("Every measurement, and the settings", 3),
        Details("All measurements", [measurements_table(series)]),
        *([Details("Batches", [batch_table(series)])] if batch_rows(series) else []),
        Details("Settings", [settings_table([*flat_settings(recipe), *flat_settings(settings)])]),
    ]
    return Page(
        name="series",
        title=f"{recipe['name']} – sharpness and the edge of stability",
        heading=f"How far is {recipe['name']} from its edge of stability?",
        header=[Section("", verdict_first(series_standings(series), f"{series['finding']}.", cuts(recipe)), "verdict")],
        body=body,
    )


def _facts(series: SeriesJson) -> list[tuple[str, str]]:
    optimizer, model = series["recipe"]["optimizer"], series["recipe"]["model"]
    batch = series["recipe"]["batch_size"]
    images = f"{series['measured_images']:,} images"
    return [
        ("network", f"{model['name']}, {series['parameters']:,} parameters"),
        ("data", str(series["recipe"]["data"]["name"])),
        ("batch", f"all {images}" if series["full_batch"] else f"{batch}, measured on {images}"),
        ("optimizer", str(optimizer["name"])),
        ("learning rate", significant(optimizer["lr"])),
        ("weight decay", significant(optimizer["weight_decay"])),
        ("number format", str(series["recipe"]["dtype"])),
    ]


def measurements_table(series: SeriesJson) -> Table:
    """Every measurement; the distance to the gradient flow has a column where it was followed."""
    rows = series["rows"]
    followed = any("flow" in row for row in rows)
    columns = ["step", *_COLUMNS[:-1], "normalised\n(2: edge)", "products", *(["from the flow"] if followed else [])]
    cells = [_cells(row) + ([_away(row)] if followed else []) for row in rows]
    return Table("measurements", "", columns, cells, align="r" * len(columns))


def _cells(row: Measured) -> list[str]:
    products = Cell("diverged", alert=True) if row["diverged"] else str(row["matvecs"])
    return [f"{row['step']:,}", *(significant(row[name]) for name in _COLUMNS), products]


def _away(row: Measured) -> str:
    return significant(row["flow"]["relative_l2"]) if row.get("flow") else MISSING


def layers_table(row: Measured) -> Table:
    """The sharpness of each layer at a measurement, the sharpest first."""
    layers = sorted(row["layers"].items(), key=lambda item: -(item[1]["sharpness"] or 0.0))
    columns = ["layer", "sharpness", "normalised\n(2: edge)", "of the network's"]
    return Table("layers", "", columns, [[name, *_layer(layer["sharpness"], row)] for name, layer in layers])


def _layer(sharpness: float | None, row: Measured) -> list[str]:
    if sharpness is None or not row["edge"] or not row["sharpness"]:
        return [significant(sharpness), MISSING, MISSING]
    return [
        significant(sharpness),
        significant(EDGE * sharpness / row["edge"]),
        f"{100 * sharpness / row['sharpness']:.0f} %",
    ]


def series_standings(series: SeriesJson) -> list[Text]:
    """Remarks on how far the numbers can be trusted."""
    stands = [Text(f"In its last third, {series['stands']}.", "standing cut")] if series.get("stands") else []
    return [*_convergence(series), *_divergence(series), *stands, *_circumstances(series)]


def _convergence(series: SeriesJson) -> list[Text]:
    rows = measured(series)
    if not rows:
        return []
    loose = [row for row in rows if not row["converged"]]
    if loose:
        words = (
            f"{len(loose)} of {len(rows)} measurements ran out of products before their error bound was small: it is "
            f"up to {scientific(max(map(_error, loose)))} of the sharpness."
        )
        return [Text(words, "standing doubt")]
    words = (
        f"Every value is within {scientific(max(map(_error, rows)))} of its upper bound, relative to it; "
        f"{sum(row['matvecs'] for row in rows):,} Hessian-vector products for {len(rows)} measurements."
    )
    return [Text(words, "standing passed")]


def _error(row: Measured) -> float:
    """The distance to the upper bound, relative to the value."""
    return float((row["upper"] - row["sharpness"]) / abs(row["sharpness"]))


def _divergence(series: SeriesJson) -> list[Text]:
    step = diverged_at(series)
    if step is None:
        return []
    return [Text(f"The training diverged: its loss is not finite at step {step:,}.", "standing doubt")]


def _circumstances(series: SeriesJson) -> list[Text]:
    words = []
    if not series["full_batch"]:
        words.append(
            f"Training steps use batches, and the sharpness is that of {series['measured_images']:,} fixed training "
            "images without augmentation. The edge is that of steps without noise: with it, training can be unstable "
            "below."
        )
    if series["batch_norm"]:
        words.append(
            "Measured in eval mode, with batch normalisation’s running statistics: in training mode the loss is no "
            "mean over images. Early in training those statistics lag behind."
        )
    return [Text(text, "standing cut") for text in words]


def series_method(series: SeriesJson) -> list[str]:
    """Paragraphs on what each measurement certifies."""
    rows = measured(series)
    probes = [row for row in rows if row["probed"]]
    missed = significant(100 * max((row["miss_probability"] for row in rows), default=1.0), 2)
    return [
        "The sharpness is the largest eigenvalue of the training loss’s Hessian, with coupled weight decay, and for an "
        "adaptive optimizer with its present preconditioner. On a quadratic loss a step is stable along an eigenvector "
        "exactly where its eigenvalue is below the edge.",
        "Each value is a Rayleigh quotient, so the largest eigenvalue is certainly no smaller, up to rounding; and an "
        "eigenvalue certainly lies within the residual ‖Hv − λv‖ of it. Where the page says that the edge is reached, "
        "this is therefore certain. The upper bound is the value plus the residual or, where that is less, about the "
        "residual’s square over the gap to the other eigenvalues, which is estimated with a margin.",
        "That no larger eigenvalue was missed can only be made unlikely: a search from a random start misses one that "
        f"lies a tenth of the spectrum’s width above with a probability of {missed} % at most. "
        f"{len(probes)} of these {len(rows)} measurements made such a search; between two of them a top "
        "eigenvalue that rises at right angles to all that is followed can go unseen. A statement that "
        "the sharpness stays below the edge holds with this reservation.",
    ]
