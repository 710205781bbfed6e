"""Reading runs needs neither torch nor a tracker."""

import subprocess
import sys
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
HEAVY = (
    "torch",
    "scipy",
    "tensorboard",
    "wandb",
    "mlflow",
    "trackio",
    "lightning",
    "transformers",
    "lm_eval",
    "pandas",
)


def test_runs_are_read_without_torch_and_without_trackers():
    stores = {"wandb": "val/acc", "mlflow_files": "acc", "mlflow_sqlite": "acc", "trackio": "acc", "lm_eval": "acc"}
    code = (
        f"import sys; sys.modules |= dict.fromkeys({HEAVY}); from lastbit.runs import read_runs; "
        f"[read_runs('{FIXTURES}/' + name, metric=metric) for name, metric in {stores}.items()]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
