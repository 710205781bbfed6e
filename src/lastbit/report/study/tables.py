"""The tables of a study: Table 1 of the paper, gradient errors, and every run."""

from typing import Any

from lastbit.report.numbers import MISSING, capital, number, percent, scientific, significant
from lastbit.report.study.naming import ShownMetric, metric_of, source_of
from lastbit.report.study.stored import (
    Row,
    StudyJson,
    metrics_of,
    noise_label,
    roundoff_exponent,
    trials_by_place,
)
from lastbit.report.table import Cell, Table

FINISHED = "finished"


def accuracy_table(study: StudyJson) -> Table:
    """The metric of every run, a row for each noise and a column for each seed, with the spreads at the edges."""
    trials, seeds, std, metric = trials_by_place(study), study["seeds"], study["std"], metric_of(study)
    rows = [
        [
            noise,
            *(_cell(trials.get((noise, seed)), metric) for seed in seeds),
            _deviation(std["seed"]["per_noise"].get(noise), metric),
        ]
        for noise in study["noises"]
    ]
    last = ["STD", *(_deviation(std["noise"]["per_seed"].get(str(seed)), metric) for seed in seeds), ""]
    return Table(
        "accuracies",
        _range(study, metric),
        ["noise", *(f"seed {seed}" for seed in seeds), "STD"],
        [*rows, last],
        _note(std, metric),
        foot=1,
    )


def pooled_table(study: StudyJson) -> Table:
    """The standard deviations over the whole table."""
    metric, std = metric_of(study), study["std"]
    labels = {"noise": f"{source_of(study).name}, over all seeds", "seed": f"{metric.cause}, over all noises"}
    rows = [[label, *_pooled(std[source]["pooled"], metric)] for source, label in labels.items()]
    columns = ["pooled STD of", "points" if metric.is_percentage else "STD", "95 % interval", "degrees of freedom"]
    return Table("pooled", "", columns, rows)


def variance_sources(study: StudyJson) -> dict[str, dict[str, Any]]:
    """The sources of the variance of one run's metric that are known, by what they are called."""
    metric, split = metric_of(study), study["variance"]
    labels = {"test_set": "test set", "batch_order": metric.cause, "last_bit": "last bit"}
    return {label: split[name] for name, label in labels.items() if split[name] is not None}


def variance_table(study: StudyJson) -> Table:
    """The standard deviation that each known source gives one run's metric, and its share of the variance."""
    metric = metric_of(study)
    rows = [
        [
            label,
            metric.spread(part["std"]),
            # A width of 0 says that no run differed, unless it was cut off or comes from examples that are all alike.
            MISSING if part["upper"] == 0 and (part["truncated"] or label == "test set") else metric.interval(part),
            MISSING if part["share"] is None else percent(part["share"]),
        ]
        for label, part in variance_sources(study).items()
    ]
    columns = ["source of the variance", f"STD{metric.bracket}", "95 % interval", "share of the variance"]
    return Table("variance", "", columns, rows)


def variance_note(study: StudyJson) -> str:
    """How the sources of the variance differ from the spreads in the verdict, which has numbers of its own for them."""
    metric, sources, lucks = metric_of(study), variance_sources(study), study["variance"].get("luck") or {}
    sentences = []
    if "test set" in sources:
        sentences.append("Test set: how far another test set of this size would move all runs together.")
    if (luck := lucks.get("last_bit")) and f"would give {_as_in_verdict(luck, metric)}" in study["verdict"]:
        sentences.append(
            f"The {metric.spread(luck['std'])}{metric.points} in the verdict are something else: how far independent "
            "errors on this test set would set runs of equal quality apart."
        )
    seed = study["std"]["seed"]["pooled"]
    if metric.cause in sources and seed is not None:
        sentences.append(
            f"{capital(metric.cause)}: without the last bit, which the {metric.spread(seed['std'])}{metric.points} "
            "between single runs contain."
        )
    if any((study["variance"].get("quality") or {}).values()):
        sentences.append(study["variance"]["quality_assumes"])
    return " ".join(sentences)


def _as_in_verdict(luck: dict[str, Any], metric: ShownMetric) -> str:
    return ("at most " if luck.get("at_most") else "") + metric.spread(luck["std"])


def _cell(trial: Row | None, metric: ShownMetric) -> str:
    """What a trial came to: its value, the step where it diverged, or how it failed."""
    if trial is None:
        return "not finished"
    how = outcome(trial)
    return metric.value(metric.of(trial)) if how == FINISHED else Cell(how, alert=True)


def outcome(trial: Row) -> str:
    """How a run ended."""
    if trial.get("failure"):
        return str(trial["failure"]["outcome"])
    step = trial["diverged_at"]
    return FINISHED if step is None else f"diverged at step {step:,}"


def _deviation(spread: dict[str, Any] | None, metric: ShownMetric) -> str:
    """A standard deviation, and below it its interval."""
    if spread is None:
        return Cell(MISSING, small="too few runs")
    return Cell(metric.spread(spread["std"]), small=metric.interval(spread))


def _pooled(spread: dict[str, Any] | None, metric: ShownMetric) -> list[str]:
    if spread is None:
        return [MISSING, "too few runs", MISSING]
    return [metric.spread(spread["std"]), metric.interval(spread), f"{spread['dof']:.1f}".removesuffix(".0")]


def _range(study: StudyJson, metric: ShownMetric) -> str:
    values = [value for trial in study["trials"] if (value := metric.of(trial)) is not None]
    if not values:
        return f"No run has a value of {metric.label}"
    low, high = metric.value(min(values)), metric.value(max(values))
    return f"The runs’ {metric.label} lies between {low} and {high}{metric.sign}"


def _note(std: dict[str, Any], metric: ShownMetric) -> str:
    unit, in_points = (" in percent", " in percentage points") if metric.is_percentage else ("", "")
    return (
        f"{metric.capital}{unit} at the end of training. A row has one noise, a column one {metric.seed}. "
        f"STD is the standard deviation{in_points} (ddof {std['ddof']}), below it its {std['interval']} interval."
    )


def gradient_table(study: StudyJson) -> Table | None:
    """How large the error of a gradient is, and what it does to the metric; None where no gradient error is known."""
    fluctuation, exponent, metric = study["gradient_fluctuation"], roundoff_exponent(study), metric_of(study)
    if fluctuation is None and exponent is None:
        return None
    roundoff = MISSING if exponent is None else f"2^{exponent} ≈ {scientific(2.0**exponent)}"
    rows = [
        [f"floating point ({source_of(study).name})", roundoff, _std(study, "noise")],
        [f"batch selection ({metric.cause})", number(fluctuation, 2), _std(study, "seed")],
    ]
    columns = ["source of the error", "relative gradient error", f"STD of {metric.label}{metric.bracket}"]
    return Table("gradients", _gradient_title(study), columns, rows, _gradient_note(study))


def _gradient_title(study: StudyJson) -> str:
    exponent, fluctuation = roundoff_exponent(study), study["gradient_fluctuation"]
    share = study["std"]["noise_over_seed"]
    if exponent is None or fluctuation is None or share is None:
        return "How large the gradient's error is, and what it does"
    small, label = f"2^{exponent}", metric_of(study).label
    if share["value"] == 0:
        return f"A relative gradient error of {small} does not move {label}, one of {fluctuation:.2f} does"
    return (
        f"A relative gradient error of {small} moves {label} {percent(share['value'])} as far as one of "
        f"{fluctuation:.2f}"
    )


def _gradient_note(study: StudyJson) -> str:
    roundoff = "The relative gradient error of floating point is the unit roundoff of the study’s number format"
    dtype = study["settings"].get("dtype")
    known = f"{roundoff}, {dtype}." if roundoff_exponent(study) is not None else f"{roundoff}, which is not recorded."
    batches = (
        "That of batch selection was not measured."
        if study["gradient_fluctuation"] is None
        else "That of batch selection is the mean over all weights of |g − ḡ| / |ḡ|, with g one batch’s gradient and ḡ "
        "the mean of several batches’ (median over epochs and unperturbed runs)."
    )
    return f"{known} {batches}"


def _std(study: StudyJson, source: str) -> str:
    pooled = study["std"][source]["pooled"]
    return MISSING if pooled is None else metric_of(study).spread(pooled["std"])


def trials_table(study: StudyJson) -> Table:
    """Every run, seed by seed."""
    metric = metric_of(study)
    columns = ["seed", "noise", "outcome", metric.axis, "training loss", "test loss", "identity"]
    return Table("runs", "", columns, [_trial(trial, metric) for trial in study["trials"]], align="llllrrl")


def last_words(study: StudyJson) -> list[tuple[str, str]]:
    """Of each run that failed: what it was, and the last lines that it wrote."""
    return [
        (f"seed {trial['seed']}, {noise_label(trial)}", "\n".join(lines))
        for trial in study["trials"]
        if (lines := (trial.get("failure") or {}).get("last_lines"))
    ]


def _trial(trial: Row, metric: ShownMetric) -> list[str]:
    how, losses = outcome(trial), [metrics_of(trial).get(name) for name in ("train_loss", "test_loss")]
    return [
        str(trial["seed"]),
        noise_label(trial),
        how if how == FINISHED else Cell(how, alert=True),
        metric.value(metric.of(trial)),
        *(MISSING if loss is None else significant(loss) for loss in losses),
        str(trial["id"]),
    ]
