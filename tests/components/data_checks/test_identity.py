import hashlib

import pyarrow as pa

from components.data_checks.descriptors import SCHEMA
from components.data_checks.identity import fingerprint


def table(images):
    """Of pairs of the hash of an image and its label."""
    columns = {name: [None] * len(images) for name in SCHEMA.names}
    columns |= {"sha256": [digest for digest, _ in images], "label": [label for _, label in images]}
    return pa.table(columns, schema=SCHEMA)


def test_the_fingerprint_is_the_hash_of_the_sorted_images_and_labels_of_each_split():
    low, high = bytes(32), b"\xff" + bytes(31)  # Zeros at their end count, and bytes have no sign.
    train = [(high, 1), (low, 256), (b"\x7f" * 32, -1), (low, 0)]
    expected = hashlib.sha256(
        b"test 0\n"
        + b"train 4\n"
        + (low + bytes(8))
        + (low + bytes([0, 0, 0, 0, 0, 0, 1, 0]))
        + (b"\x7f" * 32 + b"\xff" * 8)
        + (high + bytes([0, 0, 0, 0, 0, 0, 0, 1]))
    ).hexdigest()
    assert fingerprint({"train": [table(train)], "test": []}) == expected
    shards = [table(train[2:]), table([]), table(train[:2])]
    assert fingerprint({"test": [table([])], "train": shards}) == expected
