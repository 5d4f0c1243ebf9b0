"""Looks for drift and duplicates in the data of a run."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from components.data_checks import drift, duplicates
from components.data_checks.descriptors import Descriptors
from components.data_checks.findings import findings
from components.data_checks.profile import Profile, make_profile, read_profile
from components.layout import HELD_OUT, PROFILE_ASSET, REFERENCE
from components.report.summary import DataCheck, Drift
from components.serving.versions import Versions
from components.settings.data_checks import DataCheckSettings
from components.telling import note

_NAME = "ExampleValidator"


class Found(NamedTuple):
    """What the training images look like, and what was found in the data."""

    profile: Profile
    check: DataCheck


def check_data(
    descriptors: Mapping[str, Descriptors],
    *,
    class_names: Sequence[str],
    checks: DataCheckSettings,
    versions: Versions,
    incumbent: str,
) -> Found:
    """Looks for drift and duplicates, tells them, and stops the run where they are not allowed.

    Args:
      descriptors: Those of the images of each split; see `components.data_checks.descriptors`.
      class_names: In the order of the labels.
      checks: How much drift is told or stops the run, and what becomes of duplicates.
      versions: The students that were pushed.
      incumbent: With which of them the training images are compared; see `Versions.incumbent`.

    Raises:
      DriftError: The data has drifted too far.
      InputError: There are duplicates, which are to be refused.
    """
    held_out = [split for split in descriptors if split in (*HELD_OUT, REFERENCE)]
    training = Descriptors(
        [path for split, of_split in descriptors.items() if split not in held_out for path in of_split.paths]
    )
    profile = make_profile(training, class_names=class_names)
    check = DataCheck(
        drift=_compare(profile, checks=checks, versions=versions, version=versions.incumbent(incumbent)),
        duplicates=tuple(
            duplicates.find(descriptors[split], training=training, split=split) for split in held_out
        ),
    )
    if check.drift:
        drift.check(check.drift, checks.drift)
    if checks.duplicates == "refuse":
        for found in check.duplicates:
            duplicates.refuse(found)
    for finding in findings(check):
        note(finding, name=_NAME)
    return Found(profile, check)


def _compare(
    profile: Profile, *, checks: DataCheckSettings, versions: Versions, version: str | None
) -> Drift | None:
    """Compares the training images with those that a student was trained on, as far as that is known."""
    if version is None:
        return None
    before = read_profile(versions.fetch(version) / PROFILE_ASSET)
    if before is None:
        note(
            f"the student that ships, {version}, has no profile of its training images: "
            "drift is not measured",
            name=_NAME,
        )
        return None
    return drift.compare(
        before,
        profile,
        version=version,
        settings=checks.drift,
        significance_level=checks.significance_level,
    )
