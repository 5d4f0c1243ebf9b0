"""Images that are to be held out and lie among the unlabelled ones too."""

from components.data_checks.descriptors import Descriptors
from components.data_checks.duplicates import digests
from components.errors import InputError, first_few
from components.example_gen.unlabelled.folder import ID_PREFIX

_NAMED = 5


def check_none_held_out(unlabelled: Descriptors, *, held_out: Descriptors) -> None:
    """Refuses images of the unlabelled folder whose bytes are those of an image that is held out.

    Args:
      unlabelled: The descriptors of the images without labels; see `components.data_checks.descriptors`.
      held_out: Those of the images by which models are chosen and measured.

    Raises:
      InputError: There are such images.
    """
    known: dict[bytes, str] = {}  # Of the unlabelled there may be many more.
    for name, digest in digests(held_out):
        known.setdefault(digest, name)
    pairs = sorted(
        (name.removeprefix(ID_PREFIX), known[digest])
        for name, digest in digests(unlabelled)
        if name.startswith(ID_PREFIX) and digest in known
    )
    if pairs:
        named = first_few([f"{name} (is {other})" for name, other in pairs], most=_NAMED)
        raise InputError(
            f"data.unlabelled: the validation or the test split holds {len(pairs)} of its images too: "
            f"{named}; remove them from data.unlabelled."
        )
