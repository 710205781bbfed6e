"""What the columns of a table of runs are: seed, step, task, bookkeeping, results; found by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from lastbit.errors import LastbitError, shortened, the_nearest


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SEED = re.compile(r"(?:.*_)?seed(?:_(?:everything|value|id|num|number))?|random_state|rng")
_STEPS = ("step", "global_step", "iteration", "iter", "epoch", "trainer_global_step", "num_steps", "training_step")
_TASKS = ("task", "dataset", "data_set", "benchmark", "task_name", "dataset_name")
_RECIPES = _set(
    "recipe method model model_name algorithm algo optimizer optim config configuration variant arm condition "
    "system approach architecture arch experiment experiment_name group treatment"
)
_NAMES = ("name", "run", "run_name", "display_name", "trial", "trial_name")
_BOOKKEEPING = _set(
    "id run_id runid uuid index idx row created created_at updated updated_at finished_at started_at date "
    "datetime timestamp time start_time end_time wall_time runtime duration elapsed elapsed_time seconds "
    "train_time training_time user username host hostname node machine worker local_rank world_size "
    "gpu gpu_type notes tags comment description state status path dir directory file filename output_dir logdir "
    "log_dir logging_dir save_dir ckpt_dir checkpoint checkpoint_path ckpt workdir url sweep pid job_id "
    "slurm_job_id commit git_commit git_sha git_hash sha artifact_uri lifecycle_stage run_uuid "
    "experiment_id exp_name_id"
)
_LESS = _set(
    "loss losses error err errors nll ce cross_entropy xent perplexity ppl mse rmse mae mape smape wer cer ter "
    "fid kid bpb bpc bits_per_byte bits_per_char bits_per_dim bpd brier ece regret divergence kl time seconds "
    "latency runtime deviance eer hter lpips chamfer"
)
_MORE = _set(
    "acc accuracy top1 top5 acc1 acc5 em exact_match f1 auc auroc auprc roc ap map precision recall score bleu "
    "rouge meteor iou miou dice psnr ssim r2 reward return success win mcc kappa pass ndcg mrr hit hits correct "
    "acc_norm elo"
)
_UNBOUNDED = _set(
    "loss losses nll ce cross_entropy xent perplexity ppl mse rmse mae fid kid bpb bpc bits_per_byte bits_per_char "
    "bits_per_dim bpd regret divergence kl time seconds latency runtime deviance chamfer psnr reward return elo"
)
# What may follow a metric's own word: the data, or how it was averaged.
_AFTER_RESULT = _set("train training val valid validation dev test eval final last best rate norm mean avg average")
# In names that count the parts of one run: val_acc/dataloader_idx_0, acc_task_1, class_acc_2.
_PARTS = _set(
    "idx index dataloader loader task tasks class classes label category layer layers head heads block stage level "
    "depth step steps epoch epochs iter iteration round phase dataset subset split domain group client env subject bin"
)
_MEANS, _SPREADS = _set("mean avg average"), _set("std sd stdev stddev stderr sem se")
_FOLD = re.compile(r"(?:^|[^a-z])folds?[\W_]*\d", re.IGNORECASE)


def plain(name: str) -> str:
    """The name of a column without its place and in lower case: `Trainer/random-seed` is `random_seed`."""
    last = re.split(r"[./]", name)[-1] or name
    return re.sub(r"[\s-]+", "_", last.strip().lower())


def words(name: str) -> list[str]:
    """The words of a name: `valLoss`, `val_loss` and `val/loss` have the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return [word for word in re.split(r"[^a-z0-9]+", spaced) if word]


def seed_columns(names: Iterable[str]) -> list[str]:
    """Those called a seed, whether of all randomness or of a part of it."""
    return [name for name in names if _SEED.fullmatch(plain(name))]


def step_column(names: Sequence[str]) -> str | None:
    """The column that counts training; a step goes before an epoch."""
    by_name = {plain(name).lstrip("_"): name for name in reversed(names)}
    return next((by_name[step] for step in _STEPS if step in by_name), None)


def task_column(names: Sequence[str]) -> str | None:
    """The column that says which of several tasks or data sets a value is for."""
    by_name = {plain(name): name for name in reversed(names)}
    return next((by_name[task] for task in _TASKS if task in by_name), None)


def says_recipe(name: str) -> bool:
    """Whether a column is called what people call the thing compared."""
    return plain(name) in _RECIPES


def names_runs(name: str) -> bool:
    """Whether a column is called what people call the name of a run."""
    return plain(name) in _NAMES and not re.search("[./]", name)  # optimizer.name is a setting


def is_bookkeeping(name: str) -> bool:
    """Whether a column tells when, where or by whom a run was made, not what it was."""
    return plain(name).lstrip("_") in _BOOKKEEPING or name.startswith(("_", "tags."))


def says_result(name: str) -> bool:
    """Whether a column is called what results are called."""
    return lower_is_better(name) is not None


def is_unbounded(name: str) -> bool:
    """Whether a metric has no upper end, and so no percents, by the last word of its name that says what it is."""
    for word in reversed(words(name)):
        if word in _MORE | _LESS:
            return word in _UNBOUNDED
    joined = "_".join(words(name))
    return any("_" in long and long in joined for long in _UNBOUNDED)


def ends_in_result(name: str) -> bool:
    """Whether no other word than those of data and averages follows a result's: in `acc_test`, but not in `acc_car`."""
    rest = words(name)
    while len(rest) > 1 and rest[-1] in _AFTER_RESULT:
        rest.pop()
    return any("_".join(rest[-count:]) in _LESS | _MORE for count in (1, 2, 3))


def says_part(name: str) -> bool:
    """Whether a word of a column is that of a part of a run, such as a task, a class or a data loader."""
    return not _PARTS.isdisjoint(words(name))


def fold_notes(names: Iterable[str]) -> list[str]:
    """What is said where columns or runs that are taken for seeds are called folds of a cross-validation."""
    if not any(_FOLD.search(name) for name in names):
        return []
    return [
        "Folds are compared as if they were seeds, fold by fold: but each is tested on other data, and their training "
        "data overlap, so that intervals and p-values over folds claim more than they know."
    ]


def lower_is_better(name: str) -> bool | None:
    """Whether less of a metric is better, by the words of its name; None where they do not tell.

    Of several words the last that tells counts: `error_accuracy` is an accuracy, `accuracy_loss` a loss.
    """
    for word in reversed(words(name)):
        if word in _MORE:
            return False
        if word in _LESS:
            return True
    joined = "_".join(words(name))
    return next((True for long in _LESS if "_" in long and long in joined), None)


def means_and_spreads(names: Sequence[str]) -> list[str]:
    """A column of means and one of their spreads, as tables of papers have them; empty where not both are there."""
    kinds = [next((name for name in names if not kind.isdisjoint(words(name))), None) for kind in (_MEANS, _SPREADS)]
    return [name for name in kinds if name is not None] if None not in kinds and kinds[0] != kinds[1] else []


def spread_beside(metric: str, names: Sequence[str]) -> str | None:
    """The column of spreads beside one that is called a mean; None where it is not, or has none."""
    if _MEANS.isdisjoint(words(metric)):
        return None
    spreads = [name for name in names if not _SPREADS.isdisjoint(words(name))]
    alike = [name for name in spreads if set(words(name)) - _SPREADS == set(words(metric)) - _MEANS]
    return next(iter(alike or spreads), None)


def require(name: str, there: Sequence[str], *, option: str, where: str, hint: str = "") -> str:
    """The column of this name; case and surrounding spaces do not matter where they leave no doubt.

    Args:
        name: as a person wrote it.
        there: the columns.
        option: that the person wrote it after, for the message.
        where: the files, for the message.
        hint: what is added to the message.

    Raises:
        LastbitError: there is none; the message has the nearest names.
    """
    if name in there:
        return name
    same = [column for column in there if column.strip().lower() == name.strip().lower()]
    if len(same) == 1:
        return same[0]
    if ends := [column for column in there if plain(column) == plain(name)]:
        close = ends[:3]
    else:
        by_plain = {column.lower(): column for column in there}
        close = [by_plain[near] for near in get_close_matches(name.lower(), list(by_plain), n=3, cutoff=0.5)]
    nearest = the_nearest(close) if close else f"there are {shortened(there)}"
    raise LastbitError(f"{option} {name}: {where} has no such column; {nearest}{hint}")
