"""Every run of a study in a row."""

from dataclasses import dataclass

from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import MISSING
from lastbit.report.stored import Row, Study, noise_label


@dataclass(frozen=True)
class TrialRow:
    """A run as it is shown."""

    seed: str
    noise: str
    outcome: str  # `finished`, or `diverged at step 40`
    value: str  # of the study's metric
    train_loss: str
    test_loss: str
    identity: str
    has_diverged: bool


def trial_rows(study: Study) -> list[TrialRow]:
    """A study's runs in the stored order: seed by seed."""
    metric = metric_of(study)
    return [_row(trial, metric) for trial in study["trials"]]


def outcome(trial: Row) -> str:
    """How a run ended."""
    step = trial["diverged_at"]
    return "finished" if step is None else f"diverged at step {step:,}"


def _row(trial: Row, metric: Metric) -> TrialRow:
    return TrialRow(
        seed=str(trial["seed"]),
        noise=noise_label(trial),
        outcome=outcome(trial),
        value=metric.value(metric.of(trial)),
        train_loss=_loss(trial.get("train_loss")),
        test_loss=_loss(trial.get("test_loss")),
        identity=str(trial["id"]),
        has_diverged=trial["diverged_at"] is not None,
    )


def _loss(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4g}"
