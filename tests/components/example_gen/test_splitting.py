import hashlib
import math

import pytest

from components.errors import InputError
from components.example_gen import splitting

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_a_key_always_has_the_same_position() -> None:
    # The first 53 bits of the SHA-256 of "cat/1.jpg", as a fraction.
    bits = bin(int(hashlib.sha256(b"cat/1.jpg").hexdigest(), 16))[2:].zfill(256)[:53]
    assert splitting.position("cat/1.jpg") == int(bits, 2) / 2**53


def test_splits_get_their_shares() -> None:
    counts = {
        split: len(members)
        for split, members in splitting.assign(map(str, range(10_000)), fractions=FRACTIONS).items()
    }
    assert sum(counts.values()) == 10_000
    for split, fraction in FRACTIONS.items():
        deviation = math.sqrt(10_000 * fraction * (1 - fraction))
        assert abs(counts[split] - 10_000 * fraction) < 4 * deviation


def test_a_key_keeps_its_split_when_others_come() -> None:
    few = splitting.assign(map(str, range(100)), fractions=FRACTIONS)
    many = splitting.assign(map(str, range(1000)), fractions=FRACTIONS)
    for split, members in few.items():
        assert set(members) <= set(many[split])


def test_a_share_of_zero_gets_nothing() -> None:
    members = splitting.assign(
        map(str, range(1000)), fractions={"train": 0.7, "validation": 0.3, "test": 0.0}
    )
    assert not members["test"]
    with pytest.raises(InputError, match=r"data.split_fractions.test: got 0, which leaves none of the 1000"):
        splitting.check_none_empty(
            {split: len(keys) for split, keys in members.items()},
            fractions={"train": 0.7, "validation": 0.3, "test": 0.0},
        )


@pytest.mark.parametrize(
    ("examples", "shards"),
    [(0, 1), (1, 1), (999, 1), (1000, 2), (1797, 3), (4000, 8), (60_000, 8), (60_001, 9), (1_281_167, 171)],
)
def test_number_of_shards(examples: int, shards: int) -> None:
    assert splitting.num_shards(examples) == shards


def test_shards_hold_everything_once_in_order() -> None:
    shards = splitting.in_shards(list(range(1501)))
    assert [len(shard) for shard in shards] == [500, 500, 501]
    assert [item for shard in shards for item in shard] == list(range(1501))
