"""Images that are to be held out and lie among the unlabelled ones too."""

from collections.abc import Sequence

from components.errors import InputError, first_few
from components.example_gen.shards import Outcome
from components.example_gen.unlabelled.folder import ID_PREFIX

# The splits by which models are chosen and measured.
HELD_OUT = ("validation", "test")

_NAMED = 5


def check_none_held_out(outcomes: Sequence[Outcome]) -> None:
    """Refuses images of the unlabelled folder whose bytes are those of an image that is held out.

    Args:
      outcomes: What became of each shard, with the hashes of its images.

    Raises:
      InputError: There are such images.
    """
    held_out = {
        digest: name
        for outcome in outcomes
        if outcome.split in HELD_OUT
        for name, digest in outcome.hashes.items()
    }
    pairs = sorted(
        (name.removeprefix(ID_PREFIX), held_out[digest])
        for outcome in outcomes
        for name, digest in outcome.hashes.items()
        if name.startswith(ID_PREFIX) and digest in held_out
    )
    if pairs:
        named = first_few([f"{name} (is {other})" for name, other in pairs], most=_NAMED)
        raise InputError(
            f"data.unlabelled: the validation or the test split holds {len(pairs)} of its images too: "
            f"{named}; remove them from data.unlabelled."
        )
