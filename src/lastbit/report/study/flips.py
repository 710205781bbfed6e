"""Which classes and examples change their prediction from run to run, as blocks of a study's page."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lastbit.report.charts.figure import Figure
from lastbit.report.class_chart import ClassRow, ClassValues, class_figure, told_apart
from lastbit.report.numbers import capital, points
from lastbit.report.page import Block, Details, Html
from lastbit.report.study.naming import metric_of, source_of
from lastbit.report.study.stored import StudyJson
from lastbit.report.table import Table

CLEAR, UNCLEAR = "differs from the others", "not told from the others"


def flips_blocks(study: StudyJson) -> list[Block]:
    """The churn of each class, and the examples that flip most with their pictures; nothing where it is not known.

    They are those that the noise flips, or where there is one noise only, those that another seed flips.
    """
    flips = study.get("flips")
    part = None if flips is None else flips["noise"] or flips["seed"]
    if flips is None or part is None or not part["examples"]:
        return []
    subject = source_of(study).subject if flips["noise"] else metric_of(study).order
    names, pictures = flips.get("class_names", []), flips.get("pictures")  # a plain function's training has neither
    gallery = [Html(_gallery(part["examples"], pictures, names))] if pictures else []
    table = examples_table(part["examples"], names)
    return [
        *([class_churn_figure(part["classes"], names, subject=subject)] if len(part["classes"]) > 1 else []),
        *gallery,
        *([Details("The examples in numbers", [table])] if gallery else [table]),
    ]


def class_churn_figure(classes: Sequence[ClassRow], names: Sequence[str], *, subject: str) -> Figure:
    """The churn of each class, the largest first.

    Args:
        classes: rows of `lastbit.statistics.flips.ClassChurn`.
        names: of the classes by label, where they are known.
        subject: what the runs differ in.
    """
    ordered = sorted(classes, key=lambda row: (-row["churn"], row["label"]))
    values = ClassValues("churn", "churn (%)", CLEAR, UNCLEAR, class_name=lambda label: _name(label, names))
    note = (
        f"Percent of pairs of runs that differ in {subject} only and give an example of the class different labels; p "
        "is of a permutation test over examples."
    )
    return class_figure("class-churn", _title(ordered, names, subject), note, ordered, values)


def _title(classes: Sequence[ClassRow], names: Sequence[str], subject: str) -> str:
    """Of the classes that are told from the others, the one that differs most, whether in more churn or in less."""
    named = [row for row in told_apart(classes) if row["others"] is not None]
    if not named:
        return f"{capital(subject)} flips all {len(classes)} classes alike, as far as these examples show"
    most = max(named, key=lambda row: abs(row["churn"] - row["others"]))
    here, others = points(most["churn"]), points(most["others"])
    return f"{capital(subject)} flips {here} % of class {_name(most['label'], names)} and {others} % of the others"


def examples_table(examples: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """The examples that flip most, with what the runs say of them."""
    rows = [
        [str(row["index"]), _name(row["target"], names), _votes(row["votes"], names), points(row["churn"])]
        for row in examples
    ]
    columns = ["example", "true class", "runs that say", "churn (%)"]
    title = f"The {len(rows)} test examples that flip most" if len(rows) > 1 else "The test example that flips most"
    return Table("flipped", title, columns, rows, "Examples are counted from 0 in the test set’s order.", align="rllr")


def _gallery(examples: Sequence[Mapping[str, Any]], pictures: Mapping[str, str], names: Sequence[str]) -> str:
    items = [
        Markup('<li><img src="{}" alt="test example {}"><b>{}</b><br>{}</li>').format(
            pictures[str(row["index"])], row["index"], _name(row["target"], names), _votes(row["votes"], names)
        )
        for row in examples
        if str(row["index"]) in pictures
    ]
    heading = Markup("<figcaption>{}</figcaption>").format("The test images that flip most")
    note = Markup('<p class="note">{}</p>').format("In bold the true class; below it how many runs say what.")
    return Markup('<figure>{}<ul class="gallery">{}</ul>{}</figure>').format(heading, Markup("").join(items), note)


def _votes(votes: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    return ", ".join(f"{_name(label, names)} {count}" for label, count in votes)


def _name(label: int, names: Sequence[str]) -> str:
    return names[label] if 0 <= label < len(names) else str(label)
