"""What the reader of a run should know of its data, in words."""

from components.data_checks import drift, duplicates
from components.report.summary import DataCheck


def findings(check: DataCheck) -> list[str]:
    """Says what was found in the data: a sentence without a full stop for each, none if all is well."""
    found = []
    drifted = [each for each in check.drift.features if each.status != "none"] if check.drift else []
    if check.drift and drifted:
        found.append(
            "the training images have drifted from those that the student that ships, version "
            f"{check.drift.version}, was trained on: {'; '.join(map(drift.describe, drifted))}"
        )
    found += [duplicates.describe(each) for each in check.duplicates if each.exact or each.near]
    return found
