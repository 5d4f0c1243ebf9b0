import pytest

from components.example_gen import tfds_splits
from components.example_gen.tfds_splits import Slice

LENGTHS = {"train": [40, 35, 30], "test": [11]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("train", [Slice("train", 0, 105)]),
        ("train[:90%]", [Slice("train", 0, 94)]),  # 94.5, and TFDS rounds half to even.
        ("train[90%:]", [Slice("train", 94, 105)]),
        ("train[-5:]", [Slice("train", 100, 105)]),
        ("train[10:-5]", [Slice("train", 10, 100)]),
        ("train[1shard]", [Slice("train", 40, 75)]),
        ("train[:-1shard]", [Slice("train", 0, 75)]),
        ("train[:10] + test", [Slice("train", 0, 10), Slice("test", 0, 11)]),
        ("all", [Slice("train", 0, 105), Slice("test", 0, 11)]),
    ],
)
def test_resolves_as_tfds_does(expression: str, expected: list[Slice]) -> None:
    from tensorflow_datasets.core import splits

    assert list(tfds_splits.resolve(expression, shard_lengths=LENGTHS)) == expected
    infos = {name: splits.SplitInfo(name, lengths, 0) for name, lengths in LENGTHS.items()}
    theirs = splits.AbstractSplit.from_spec(expression).to_absolute(infos)
    sizes = {name: sum(lengths) for name, lengths in LENGTHS.items()}
    assert expected == [
        Slice(part.splitname, part.from_ or 0, sizes[part.splitname] if part.to is None else part.to)
        for part in theirs
    ]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("tests", "allowed: train, test"),
        ("train[:90", "expected an expression such as"),
        ("", "expected an expression such as"),
        ("train+", "expected an expression such as"),
        ("train[]", "two bounds"),
        ("train[:]", "at least one bound"),
        ("train[5]", "two bounds"),
        ("train[:1.5]", "1.5 is not a whole number"),
        ("train[:101%]", "101% is not between"),
        ("train[:106]", "'train' has only 105 examples"),
        ("train[50%:20%]", "it selects none of the 105 examples"),
        ("test[:1%]", "it selects none of the 11 examples"),
        ("all[:5]", "'all' takes no brackets"),
    ],
)
def test_refuses(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tfds_splits.resolve(expression, shard_lengths=LENGTHS)


def test_overlap() -> None:
    assert tfds_splits.overlap(Slice("train", 0, 10), Slice("train", 9, 20))
    assert not tfds_splits.overlap(Slice("train", 0, 10), Slice("train", 10, 20))
    assert not tfds_splits.overlap(Slice("train", 0, 10), Slice("test", 0, 10))


def test_cuts_into_shards() -> None:
    slices = [Slice("train", 100, 800), Slice("test", 0, 301)]
    assert tfds_splits.count(slices) == 1001
    assert tfds_splits.cut(slices) == ["train[100:600]", "train[600:800]+test[0:301]"]
