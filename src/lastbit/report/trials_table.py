"""Every run of a study in a row."""

from dataclasses import dataclass

from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import MISSING
from lastbit.report.stored import Row, Study, metrics_of, noise_label

FINISHED = "finished"


@dataclass(frozen=True)
class TrialRow:
    """A run as it is shown."""

    seed: str
    noise: str
    outcome: str  # `finished`, `diverged at step 40`, `failed with exit code 1`
    value: str  # of the study's metric
    train_loss: str
    test_loss: str
    identity: str
    last_lines: str  # of what a run wrote that failed; else empty
    stands_out: bool  # it diverged or failed


def trial_rows(study: Study) -> list[TrialRow]:
    """A study's runs in the stored order: seed by seed."""
    metric = metric_of(study)
    return [_row(trial, metric) for trial in study["trials"]]


def outcome(trial: Row) -> str:
    """How a run ended."""
    if trial.get("failure"):
        return str(trial["failure"]["outcome"])
    step = trial["diverged_at"]
    return FINISHED if step is None else f"diverged at step {step:,}"


def _row(trial: Row, metric: Metric) -> TrialRow:
    return TrialRow(
        seed=str(trial["seed"]),
        noise=noise_label(trial),
        outcome=outcome(trial),
        value=metric.value(metric.of(trial)),
        train_loss=_loss(metrics_of(trial).get("train_loss")),
        test_loss=_loss(metrics_of(trial).get("test_loss")),
        identity=str(trial["id"]),
        last_lines="\n".join((trial.get("failure") or {}).get("last_lines", ())),
        stands_out=outcome(trial) != FINISHED,
    )


def _loss(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4g}"
