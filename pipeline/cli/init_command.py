"""The command that proposes a configuration."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich import box
from rich.table import Table

from components.errors import EmptySplitError, InputError
from components.example_gen.registry import DataSettings, open_source
from components.example_gen.source import Source
from components.files import write_text
from components.settings.explaining import explain
from pipeline.cli.console import stdout
from pipeline.cli.screen import print_line
from pipeline.proposal.locating import locate
from pipeline.proposal.proposal import (
    ENOUGH_IMAGES,
    FRACTIONS_OF_FEW,
    choose_fractions,
    choose_name,
    describe_sizes,
    find_obstacle,
    is_grey,
    is_imbalanced,
    propose,
    to_yaml,
)
from pipeline.proposal.survey import Survey, count_reasons, look_at
from pipeline.silence import silenced

_CLASSES_SHOWN = 6
_NAMES_SHOWN = 3


def init(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder or a list of images, or a data set of TFDS.")
    ],
    output: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="The configuration to write.", show_default="NAME.yaml"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replaces the file if it is there.")] = False,
) -> None:
    """Looks at your images and proposes a configuration for them."""
    data = locate(path)
    name = choose_name(data.get("dataset", path))
    file = output or pathlib.Path(f"{name}.yaml")
    _check_output(file, force=force)
    with silenced():
        data, survey = _survey(data)
    sections = propose(survey, name=name, data=data)
    command = shlex.join(("distill", "run", str(file)))
    made_by = shlex.join(("distill", "init", path))
    title = (f"Proposed by {made_by}; docs/configuration.md lists every key.", "", f"  {command}")
    try:
        write_text(file, to_yaml(sections, title=title))
    except OSError as error:
        raise InputError(f"--output {file}: cannot be written ({error.strerror}); give another.") from error
    _print_survey(survey, path=data.get("path", path))
    values = {section.key: section.value for section in sections}
    teacher, student = values["teacher"], values["student"]
    print_line(
        stdout(),
        f"Proposed:  {teacher['architecture']} teaches {student['architecture']} on images of "
        f"{values['image']['height']}x{values['image']['width']}, {teacher['epochs']} epochs each.",
    )
    obstacle = find_obstacle(survey)
    before = f"{obstacle}. Then" if obstacle else "Next"
    print_line(stdout(), f"Wrote {file}, which says why. {before}:\n\n  {command}")


def _survey(data: dict[str, Any]) -> tuple[dict[str, Any], Survey]:
    """Looks at the images; returns the settings of the data too, with other shares where those are better."""
    if "splits" in data:
        return data, look_at(_open(data))
    try:
        survey = look_at(_open(data))
        shared = data | {"split_fractions": choose_fractions(survey)}
        changed = look_at(_open(shared))
    except EmptySplitError:
        return _survey_of_few(data)
    return (data, survey) if changed.classes == survey.classes else (shared, changed)


def _survey_of_few(data: dict[str, Any]) -> tuple[dict[str, Any], Survey]:
    """Looks at images of which the usual shares leave a split without any."""
    shared = data | {"split_fractions": FRACTIONS_OF_FEW}
    try:
        return shared, look_at(_open(shared))
    except EmptySplitError:
        raise InputError(
            f"{data['path']} holds too few images to have some in each of the splits train, validation and "
            f"test; add images: {ENOUGH_IMAGES} in all are enough as a rule."
        ) from None


def _open(data: dict[str, Any]) -> Source:
    try:
        return open_source(TypeAdapter(DataSettings).validate_python(data))
    except ValidationError as error:  # Of the placeholders in a path of spans.
        raise InputError(f"data.{explain(error, given=data)[0]}.") from None


def _check_output(file: pathlib.Path, *, force: bool) -> None:
    if file.is_dir() or not file.parent.is_dir():
        raise InputError(f"--output {file}: cannot be written; give a file in a folder that is there.")
    if file.exists() and not force:
        raise InputError(f"{file} is there already; give another --output, or --force to replace it.")


def _print_survey(survey: Survey, *, path: str) -> None:
    console = stdout()
    classes = survey.classes["train"]
    total = sum(survey.count(split) for split in survey.classes)
    print_line(console, f"{path}: {total:,} images of {len(classes)} classes\n")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("split")
    table.add_column("images", justify="right")
    table.add_column("classes", overflow="fold")
    for split, counts in survey.classes.items():
        table.add_row(split, f"{survey.count(split):,}", _describe_classes(counts))
    console.print(table)
    colours = "without colours" if is_grey(survey.sample) else "in colour"
    print_line(
        console,
        f"\nSizes:     {describe_sizes(survey.sample)}, {colours} ({len(survey.sample)} images looked at)",
    )
    for note in survey.notes:
        print_line(console, f"Note:      {note}")
    for reason, count in count_reasons(survey.skipped).items():
        names = [item.id for item in survey.skipped if item.reason == reason]
        more = ", ..." if count > _NAMES_SHOWN else ""
        print_line(console, f"Left out:  {count:,} ({reason}): {', '.join(names[:_NAMES_SHOWN])}{more}")
    for name in (name for name, count in classes.items() if not count):
        print_line(console, f"Note:      no image of {name} is in the train split; add images of it")
    tested = [name for name, count in survey.classes["test"].items() if count]
    if len(tested) == 1:
        print_line(
            console,
            f"Note:      all test images are of {tested[0]}, and so say little of a model; add others",
        )
    if is_imbalanced(classes):
        print_line(
            console, "Note:      some classes have few images; class_weights: balanced makes up for it"
        )


def _describe_classes(counts: Mapping[str, int]) -> str:
    """Names the classes with their numbers of images, or the extremes of many."""
    if len(counts) <= _CLASSES_SHOWN:
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())
    least, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
    return f"from {counts[least]:,} ({least}) to {counts[most]:,} ({most})"
