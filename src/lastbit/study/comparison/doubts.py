"""What forbids a comparison, and what casts doubt on it."""

from collections.abc import Iterator

from lastbit.differing import differing_fields
from lastbit.errors import LastbitError
from lastbit.files import to_json
from lastbit.study.comparison.side import Origin, Side
from lastbit.study.correctness import correctness


def check_comparable(a: Side, b: Side) -> None:
    """Refuse a study beside itself, and different test sets as far as they are known.

    Raises:
        LastbitError: says which.
    """
    if a.study is None or b.study is None:
        return
    if set(a.study.grid.ids.values()) == set(b.study.grid.ids.values()):
        raise LastbitError(f"{a.name} and {b.name} are the same study: every trial of one is the other's")
    told = _different_tests(a.study, b.study)
    if told:
        raise LastbitError(f"{a.name} and {b.name} cannot be compared: {told}")


def doubts(a: Side, b: Side) -> list[str]:
    """Sentences that belong before any finding: controls, arithmetic, recipes that are one."""
    studies = [(side.name, side.study) for side in (a, b) if side.study is not None]
    said = [doubt for name, study in studies for doubt in _controls(name, study)]
    return [*said, *_arithmetic(a, b), *_same_recipe(a, b)]


def _different_tests(a: Origin, b: Origin) -> str:
    one, other = (correctness(study.grid) for study in (a, b))
    if one is not None and other is not None:
        same = one.targets.shape == other.targets.shape and bool((one.targets == other.targets).all())
        return "" if same else _sizes("their test sets have different labels", len(one.targets), len(other.targets))
    sizes = [_examples(study) for study in (a, b)]
    if None not in sizes and sizes[0] != sizes[1]:
        return _sizes("their test sets differ", *sizes)
    for field in ("name", "test"):
        values = [_data(study, field) for study in (a, b)]
        if None not in values and values[0] != values[1]:
            return f"they were tested on different data (data.{field} = {values[0]} and {values[1]})"
    return ""


def _sizes(what: str, one: object, other: object) -> str:
    return f"{what} ({one} and {other} examples)"


def _examples(study: Origin) -> int | None:
    found = (trial.predictions() for trial in study.grid.stored.values())
    return next((len(labels) for labels in found if labels is not None), None)


def _data(study: Origin, field: str) -> object:
    data = study.settings.get("data")
    return data.get(field) if isinstance(data, dict) else None


def _controls(name: str, study: Origin) -> Iterator[str]:
    if study.controls is None:
        yield f"{name} has no controls: other sources of noise are not ruled out."
    elif not study.controls.passed:
        yield f"{name} is not to be trusted: {study.controls.complaint}."


def _arithmetic(a: Side, b: Side) -> Iterator[str]:
    found = [print_ for side in (a, b) if side.study is not None for print_ in side.study.fingerprints]
    if differ := sorted(differing_fields(found)):
        yield (
            f"The runs come from different arithmetic ({', '.join(differ)}), so part of the difference may be the "
            "machine's or the library's."
        )


def _same_recipe(a: Side, b: Side) -> Iterator[str]:
    if a.study is not None and b.study is not None and to_json(a.study.settings) == to_json(b.study.settings):
        yield "Both studies train the same recipe: whatever differs is noise."
