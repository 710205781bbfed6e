"""A study read back from its directory, without the training that made it."""

from pathlib import Path

from lastbit.noise import noise_from_json
from lastbit.study.metric import Metric
from lastbit.study.recorder import Recorder
from lastbit.study.store import Store
from lastbit.study.study import Study


def reopen(directory: Path) -> Study:
    """Open a stored study to look at its trials and results.

    Raises:
        ValueError: the directory holds no study, or its study.json was altered.
        RuntimeError: only when it is told to run: its training is not here.
    """
    description = Store(directory).study()
    try:
        return Study(
            directory,
            _train_nothing,
            noises=[noise_from_json(noise) for noise in description["noises"]],
            seeds=description["seeds"],
            name=description["name"],
            settings=description["settings"],
            controlled=description["controlled"],
            metric=Metric(**description["metric"]),
            seed_decides=description["seed_decides"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory / 'study.json'} does not describe a study ({error!r}): it was altered") from None


def _train_nothing(run: Recorder) -> None:
    raise RuntimeError("this study was read back from its directory, without its training: it cannot run")
