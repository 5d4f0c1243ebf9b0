"""What the models were trained on, with what the teacher says of it."""

import pathlib
from collections.abc import Sequence

import numpy as np

from components.data_checks import drift
from components.data_checks.profile import Profile, make_teacher_profile, read_profile
from components.files import read_json
from components.layout import DATA_CHECK_FILE, PROFILE_ASSET, PROFILE_FILE
from components.report.summary import DataCheck
from components.serving.versions import Versions
from components.settings.data_checks import DriftSettings


def describe_training_data(
    folder: pathlib.Path,
    *,
    logits: np.ndarray,
    class_names: Sequence[str],
    versions: Versions,
    settings: DriftSettings,
    significance_level: float,
) -> tuple[Profile, DataCheck]:
    """Completes what was found in the training images by what the teacher says of them.

    A drift of what the teacher says is told, but never stops a run: a teacher that was trained anew is surer
    or less sure for many reasons, and by then all is trained.

    Args:
      folder: ExampleValidator's `anomalies`.
      logits: The teacher's, of training images, `[images, num_classes]`; none if they are not stored.
      class_names: In the order of the logits.
      versions: Among which the student that ships is.
      settings: From which drift on it is told.
      significance_level: Of the tests, for the features of the teacher together.

    Returns:
      The profile of the training images, and the findings.
    """
    profile = Profile.model_validate(read_json(folder / PROFILE_FILE))
    check = DataCheck.model_validate(read_json(folder / DATA_CHECK_FILE))
    logits = logits[np.isfinite(logits.max(axis=1, initial=-np.inf))]
    if not len(logits):
        return profile, check
    teacher = make_teacher_profile(logits, class_names=class_names)
    before = read_profile(versions.fetch(check.drift.version) / PROFILE_ASSET) if check.drift else None
    if check.drift and before:
        found = drift.compare(
            before,
            teacher,
            version=check.drift.version,
            settings=settings.model_copy(update={"stop": None}),
            significance_level=significance_level,
        )
        both = check.drift.model_copy(update={"features": (*check.drift.features, *found.features)})
        check = check.model_copy(update={"drift": both})
    return profile.joined_with(teacher), check
