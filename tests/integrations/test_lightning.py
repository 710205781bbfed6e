"""The callback in a small fit by the real trainer."""

import csv
import importlib
import re
import sys
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lastbit as lb
import lastbit.integrations.lightning as integration
from lastbit.integrations.lightning import LightningSharpnessCallback
from lastbit.machine import how_to_install

INPUTS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(40) % 3
BATCH = INPUTS[:16], TARGETS[:16]
# Lightning 2.6 builds its trees in a way that torch 2.13 deprecates, and advises worker processes for 40 samples.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


class Module(lightning.LightningModule):
    def __init__(self, fail_at=None):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
        self.fail_at = fail_at

    def forward(self, inputs):
        return self.net(inputs)

    def training_step(self, batch, index):
        if index == self.fail_at:
            raise ArithmeticError("a training step failed")
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def fit(folder, module, callbacks, *, epochs=2, **options):
    torch.manual_seed(2)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=callbacks,
        logger=CSVLogger(folder),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=10, shuffle=True))
    return trainer


def left(module, trainer):
    state = trainer.optimizers[0].state
    tensors = [*module.state_dict().values(), *(s["momentum_buffer"] for s in state.values()), torch.get_rng_state()]
    return [tensor.numpy().tobytes() for tensor in tensors], [m.training for m in module.modules()]


def test_a_fit_is_bit_identical_with_the_callback_and_its_rows_are_logged(tmp_path):
    plain, watched, seen = Module(), Module(), []
    callback = LightningSharpnessCallback(cross_entropy, BATCH, lb.every(3), sinks=[seen.append], k=2)
    without = fit(tmp_path / "without", plain, [])
    trainer = fit(tmp_path / "with", watched, [callback])
    assert left(watched, trainer) == left(plain, without)
    assert not trainer.optimizers[0]._optimizer_step_post_hooks
    assert [row.step for row in callback.rows] == [3, 6]
    assert seen == list(callback.rows)
    lines = Path(trainer.logger.experiment.metrics_file_path).read_text().splitlines()
    logged = [line for line in csv.DictReader(lines) if line["sharpness/sharpness"]]
    assert [int(line["step"]) for line in logged] == [3, 6]
    for row, line in zip(callback.rows, logged, strict=True):
        for name, value in row.scalars().items():
            assert float(line[f"sharpness/{name}"]) == pytest.approx(value)


def test_its_rows_are_those_of_the_same_training_by_hand(tmp_path):
    callback = LightningSharpnessCallback(cross_entropy, BATCH, lb.every(4))
    module = Module()
    fit(tmp_path, module, [callback], epochs=1)
    tracker = lb.SharpnessTracker(module.eval(), cross_entropy, BATCH)
    exact = tracker.measure()
    assert callback.rows[-1].sharpness == pytest.approx(
        exact.sharpness, abs=exact.residual + callback.rows[-1].residual
    )
    assert callback.rows[-1].edge == pytest.approx(3.8 / 0.1)


def test_an_exception_passes_through_and_leaves_the_rows(tmp_path):
    callback, module = LightningSharpnessCallback(cross_entropy, BATCH, lb.every(1)), Module(fail_at=2)
    optimizer = module.configure_optimizers()
    module.configure_optimizers = lambda: optimizer
    with pytest.raises(ArithmeticError, match="a training step failed"):
        fit(tmp_path, module, [callback])
    assert [row.step for row in callback.rows] == [1, 2]
    assert not optimizer._optimizer_step_post_hooks


def test_mixed_precision_is_measured_in_the_weights_own(tmp_path):
    callback, module = LightningSharpnessCallback(cross_entropy, BATCH, lb.every(4)), Module()
    fit(tmp_path, module, [callback], epochs=1, precision="bf16-mixed")
    exact = lb.SharpnessTracker(module.eval(), cross_entropy, BATCH).measure()
    assert callback.rows[-1].converged
    assert callback.rows[-1].sharpness == pytest.approx(exact.sharpness, rel=1e-3)


def test_what_is_no_schedule_is_refused_at_once():
    LightningSharpnessCallback(cross_entropy, BATCH, 100)
    with pytest.raises(TypeError, match=r"a str is no schedule; give a callable"):
        LightningSharpnessCallback(cross_entropy, BATCH, "often")


def test_a_missing_lightning_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.delitem(sys.modules, integration.__name__)
    with pytest.raises(ModuleNotFoundError, match="is not installed; " + re.escape(how_to_install("lightning"))):
        importlib.import_module(integration.__name__)
