"""Reference images that are trained on, too."""

from components.data_checks.descriptors import Descriptors
from components.data_checks.duplicates import find_exact
from components.errors import InputError, first_few
from components.example_gen.reference.folder import ID_PREFIX

_NAMED = 5


def check_none_trained_on(reference: Descriptors, *, trained_on: Descriptors) -> None:
    """Refuses reference images whose bytes are those of an image by which models are trained or chosen.

    Args:
      reference: The descriptors of the reference images; see `components.data_checks.descriptors`.
      trained_on: Those of the images of all splits but test.

    Raises:
      InputError: There are such images.
    """
    pairs = sorted(find_exact(reference, among=trained_on).items())
    if pairs:
        named = first_few(
            [f"{name.removeprefix(ID_PREFIX)} (is {other})" for name, other in pairs], most=_NAMED
        )
        raise InputError(
            f"data.reference: models are trained on, or chosen by, {len(pairs)} of its images too: {named}; "
            "remove them from one of the two."
        )
