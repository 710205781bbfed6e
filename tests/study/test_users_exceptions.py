"""What a person's own training function raises is shown as theirs, with its traceback."""

import pytest

import lastbit as lb
from lastbit.study import TrialFailedError


def raises_value_error(run):
    raise ValueError("the third class is empty")


def raises_key_error(run):
    return {}["weights"]


@pytest.mark.parametrize(
    ("train", "said"),
    [(raises_value_error, "ValueError: the third class is empty"), (raises_key_error, "KeyError: 'weights'")],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_the_traceback_is_the_persons_own(tmp_path, train, said, workers):
    study = lb.Study(tmp_path / "study", train, noises=[lb.Scale(1)], seeds=(1,), controlled=False)
    with pytest.raises(TrialFailedError) as failed:  # noqa: PT012
        if workers:
            with lb.local_pool(workers) as pool:
                study.run(pool)
        else:
            study.run()
    assert not isinstance(failed.value, lb.LastbitError)
    assert f"in {train.__name__}" in str(failed.value)
    assert said in str(failed.value)


def test_what_a_callback_raises_is_passed_on(tmp_path):
    def on_trial(outcome):
        raise ValueError("mine")

    study = lb.Study(
        tmp_path / "study", lambda run: run.log(1, loss=0.5), noises=[lb.Scale(1)], seeds=(1,), controlled=False
    )
    with pytest.raises(ValueError, match="mine") as raised:
        study.run(on_trial=on_trial)
    assert not isinstance(raised.value, lb.LastbitError)
