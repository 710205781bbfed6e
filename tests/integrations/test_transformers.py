"""The callback in a small training by the real trainer, of a transformer with random weights."""

import importlib
import re
import sys

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import lastbit as lb
import lastbit.integrations.transformers as integration
from lastbit.integrations.transformers import TransformersSharpnessCallback
from lastbit.machine import how_to_install

TOKENS = torch.randint(11, (24, 5), generator=torch.Generator().manual_seed(0))
SAMPLES = [{"input_ids": tokens, "labels": tokens} for tokens in TOKENS]
BATCH = {"input_ids": TOKENS[:8], "labels": TOKENS[:8]}


def transformer(**options):
    """A GPT-2 of 320 weights, dropout included."""
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=11, n_positions=5, n_embd=4, n_layer=1, n_head=2, **options))


def arguments(folder, **options):
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        max_steps=5,
        learning_rate=1e-3,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=3,
        **options,
    )


def train(folder, model, callbacks, **options):
    torch.manual_seed(2)
    trainer = Trainer(model=model, args=arguments(folder, **options), train_dataset=SAMPLES, callbacks=callbacks)
    trainer.train()
    return trainer


def left(trainer):
    state = [s[name] for s in trainer.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    tensors = [*trainer.model.state_dict().values(), *state, torch.get_rng_state()]
    return [tensor.numpy().tobytes() for tensor in tensors], [m.training for m in trainer.model.modules()]


def own_loss(outputs, labels):
    return outputs.loss


def dense(model, loss=own_loss):
    """The Hessian of a loss on the batch, by default the model's own, in evaluation mode."""
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    sizes = [weight.numel() for weight in weights.values()]

    def value(flat):
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        outputs = functional_call(model, {n: part.reshape(w.shape) for (n, w), part in parts}, (), BATCH)
        return loss(outputs, BATCH["labels"])

    return torch.autograd.functional.hessian(value, torch.cat([w.reshape(-1) for w in weights.values()]))


def preconditioner(optimizer, model):
    """Adam's diagonal after five steps, by its published formula."""
    states = [optimizer.state[parameter] for parameter in model.parameters()]
    roots = [(state["exp_avg_sq"].double() / (1 - 0.999**5)).sqrt() + 1e-8 for state in states]
    return torch.cat([(1 - 0.9**5) * root.reshape(-1) for root in roots])


def test_a_training_is_bit_identical_with_the_callback(tmp_path):
    seen = []
    callback = TransformersSharpnessCallback(BATCH, lb.every(2), sinks=[seen.append])
    trainer = train(tmp_path, transformer(), [callback])
    assert left(trainer) == left(train(tmp_path, transformer(), []))
    assert [row.step for row in callback.rows] == [2, 4]
    assert seen == list(callback.rows)
    assert all(row.converged and row.mode == "eval" for row in seen)
    assert not trainer.optimizer.optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize("options", [{}, {"bf16": True}], ids=["float32", "bf16 autocast"])
def test_its_last_row_is_the_dense_preconditioned_hessians(tmp_path, options):
    """Under autocast too the curvature is measured in the weights' own precision."""
    callback = TransformersSharpnessCallback([BATCH], lb.every(5))
    trainer = train(tmp_path, transformer(), [callback], **options)
    plain = transformer(attn_implementation="eager").eval()  # attention spelled out: a second implementation
    plain.load_state_dict(trainer.model.state_dict())
    scale = preconditioner(trainer.optimizer, trainer.model).rsqrt()
    values = torch.linalg.eigvalsh(scale[:, None] * dense(plain).double() * scale)
    (row,) = callback.rows
    assert row.sharpness == pytest.approx(float(values[-1]), rel=1e-3)
    assert row.loss == pytest.approx(float(plain(**BATCH).loss.detach()), rel=1e-5)
    assert len(row.edges) == 2, "the trainer keeps biases in a group without weight decay"


def test_a_loss_of_ones_own_and_the_models_missing_one(tmp_path):
    callback = TransformersSharpnessCallback(
        BATCH, lb.every(5), loss=lambda outputs, batch: outputs.logits.square().mean()
    )
    train(tmp_path, transformer(), [callback])
    assert callback.rows[0].loss < 0.1
    with pytest.raises(ValueError, match=r"no loss for a batch of input_ids; give labels, or loss="):
        train(tmp_path, transformer(), [TransformersSharpnessCallback({"input_ids": TOKENS[:8]}, lb.every(5))])


class Doubling(Trainer):
    """Trains on a loss of its own."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = 2 * outputs.loss + outputs.logits.square().mean()
        return (loss, outputs) if return_outputs else loss


def twice(outputs, labels, num_items_in_batch=None):
    """A loss function that the trainer is given."""
    return 2 * cross_entropy(outputs["logits"][:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def smoothed(outputs, labels):
    """The trainer's smoother divides by all five labels of a sample, though it drops the first."""
    return 4 / 5 * cross_entropy(outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), label_smoothing=0.4)


TRAINED = {
    "smoothed labels": ({"label_smoothing_factor": 0.4}, {}, Trainer, smoothed),
    "a loss function": ({}, {"compute_loss_func": twice}, Trainer, lambda o, y: 2 * o.loss),
    "an overridden method": ({}, {}, Doubling, lambda o, y: 2 * o.loss + o.logits.square().mean()),
}


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("mixed", [{}, {"bf16": True}], ids=["float32", "bf16 autocast"])
def test_what_is_measured_is_the_loss_that_is_trained(tmp_path, name, mixed):
    options, given, kind, loss = TRAINED[name]
    callback = TransformersSharpnessCallback(BATCH, lb.every(5))
    model = transformer()
    torch.manual_seed(2)
    trainer = kind(
        model=model, args=arguments(tmp_path, **options, **mixed), train_dataset=SAMPLES, callbacks=[callback], **given
    )
    trainer.train()
    plain = transformer(attn_implementation="eager").eval()
    plain.load_state_dict(trainer.model.state_dict())
    scale = preconditioner(trainer.optimizer, trainer.model).rsqrt()
    values = torch.linalg.eigvalsh(scale[:, None] * dense(plain, loss).double() * scale)
    (row,) = callback.rows
    assert row.loss == pytest.approx(float(loss(plain(**BATCH), BATCH["labels"]).detach()), rel=1e-5)
    assert row.sharpness == pytest.approx(float(values[-1]), rel=1e-3)


@pytest.mark.parametrize("name", TRAINED)
def test_the_gradient_that_is_stepped_is_that_of_the_measured_loss(tmp_path, name):
    """On the monitored batch and without dropout the two are one."""
    options, given, kind, _ = TRAINED[name]
    callback = TransformersSharpnessCallback(BATCH, lb.every(1))
    model = transformer(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    whole = arguments(tmp_path, max_grad_norm=0.0, **options)
    whole.per_device_train_batch_size, whole.max_steps = 8, 2
    kind(model=model, args=whole, train_dataset=SAMPLES[:8], callbacks=[callback], **given).train()
    assert [row.note for row in callback.rows] == ["", ""]
    for row in callback.rows:
        assert (row.stepped_ratio, row.stepped_cosine) == (pytest.approx(1, rel=1e-4), pytest.approx(1, rel=1e-6))


def test_what_is_no_batch_or_no_schedule_is_refused_at_once():
    with pytest.raises(TypeError, match="a batch is a Tensor; give mappings of tensors"):
        TransformersSharpnessCallback(TOKENS)
    TransformersSharpnessCallback(BATCH, 100)
    with pytest.raises(TypeError, match=r"a str is no schedule; give a callable"):
        TransformersSharpnessCallback(BATCH, "often")


def test_missing_transformers_are_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, integration.__name__)
    with pytest.raises(ModuleNotFoundError, match="is not installed; " + re.escape(how_to_install("transformers"))):
        importlib.import_module(integration.__name__)
