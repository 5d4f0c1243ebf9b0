import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from components.errors import InputError
from components.pretrained.predictions_file import check_predictions, read_predictions

CLASSES = ("ant", "bee", "cat")
IDS = ["a/1.png", "ü.png", "c"]
LOGITS = [[1.0, -2.0, 0.5], [0.0, 3.0, 4.0], [-1.0, -1.0, 7.0]]
PROBABILITIES = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "p.npz", **arrays)
        return str(tmp_path / "p.npz")

    return write


@pytest.fixture
def table(tmp_path):
    def write(columns, *, classes=None):
        metadata = None if classes is None else {"classes": json.dumps(classes)}
        parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), tmp_path / "p.parquet")
        return str(tmp_path / "p.parquet")

    return write


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("ids", [np.array(IDS), np.array(IDS, object).astype("U")])
def test_arrays_are_found_by_id_in_any_order(npz, kind, ids):
    found = read_predictions(npz(id=ids, logits=np.array(LOGITS, kind)), class_names=CLASSES)

    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(
        found.of([b"c", "ü.png".encode(), b"a/1.png"]), [LOGITS[2], LOGITS[1], LOGITS[0]]
    )


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float32(), 3), pa.large_list(pa.float32())],
    ids=str,
)
def test_columns_are_found_by_id(table, kind):
    path = table({"id": pa.array(IDS), "logits": pa.array(LOGITS, kind), "more": [1, 2, 3]})

    found = read_predictions(path, class_names=CLASSES)

    np.testing.assert_array_equal(found.of([b"c", b"a/1.png"]), [LOGITS[2], LOGITS[0]])


def test_probabilities_become_logits_by_their_logarithm(npz):
    path = npz(id=IDS, probabilities=PROBABILITIES)

    found = read_predictions(path, class_names=CLASSES)

    tiny = np.log(1e-7)
    np.testing.assert_allclose(
        found.of([b"a/1.png", "ü.png".encode()]),
        [[-0.693147, -1.386294, -1.386294], [0, tiny, tiny]],
        rtol=1e-5,
    )


def test_images_that_are_missing_are_named_and_others_counted(npz):
    found = read_predictions(npz(id=IDS, logits=LOGITS), class_names=CLASSES)

    assert found.check_covers([b"c"]) == 2
    with pytest.raises(
        InputError, match=r"lacks 4 of the data's 5 images: u, v, x and 1 more; .* a/1\.png, "
    ):
        found.check_covers([b"y", b"x", b"v", b"c", b"u"])


def test_the_order_of_the_classes_is_checked_where_it_is_told(npz, table):
    turned = ["bee", "ant", "cat"]
    columns = {"id": pa.array(IDS), "logits": pa.array(LOGITS)}

    for path in (npz(id=IDS, logits=LOGITS, classes=CLASSES), table(columns, classes=CLASSES)):
        read_predictions(path, class_names=CLASSES)
    for path in (npz(id=IDS, logits=LOGITS, classes=turned), table(columns, classes=turned)):
        with pytest.raises(
            InputError, match=r"of the classes bee, ant, cat, but .* ant, bee, cat, in this order"
        ):
            read_predictions(path, class_names=CLASSES)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"id": ["a", "b", "a", "b", "c"], "logits": np.eye(5, 3)}, "has 2 ids more than once: a, b; give"),
        ({"id": ["a", "b"], "logits": np.eye(2, 4)}, "has 4 logits for a, but the data has 3 classes"),
        ({"id": ["a", "b"], "logits": [[1, 2, 3], [4, np.nan, 6]]}, "not finite for 1 images: b; mend"),
        ({"id": ["a", "b"], "logits": [[1e300, 2, 3], [4, 5, 6]]}, "not finite for 1 images: a;"),
        ({"id": ["a", "b"], "logits": [[0.5, 0.5, 0], [0, 0, 1]]}, "add up to 1 for .* call them prob"),
        ({"id": ["a", "b"], "probabilities": [[0.5, 0.5, 0], [0, 2, 3]]}, "1 images: b; if they are logits"),
        ({"id": ["a"], "probabilities": [[1.5, -0.5, 0]]}, "not between 0 and 1.* for 1 images: a;"),
        ({"id": [3, 4], "logits": np.eye(2, 3)}, "has id of int64; they must be text"),
        ({"id": ["a"], "logits": np.eye(2, 3)}, r"id has shape \(1,\) and logits \(2, 3\)"),
        ({"id": np.array([], "U1"), "logits": np.zeros((0, 3))}, "holds no predictions"),
        ({"logits": np.eye(2, 3)}, "holds logits; it must hold id, and either logits or"),
        ({"id": ["a"], "scores": np.eye(1, 3)}, "holds id, scores; it must hold"),
        ({"id": ["a"], "logits": np.eye(1, 3), "probabilities": np.eye(1, 3)}, "either"),
        (
            {"id": np.array(["a", "b"], object), "logits": np.eye(2, 3)},
            r"id holds Python's objects; make them text, \.astype\(str\)",
        ),
        (
            {"id": ["a", "b"], "logits": np.array([[1, 2, 3], [4, 5]], object)},
            r"logits holds Python's objects; make them numbers, \.astype\('float32'\)",
        ),
        ({"id": ["a", "b"], "logits": np.eye(2, 3) > 0}, "true and false in the place of numbers"),
        ({"id": ["a"], "logits": [[1, 2, 3]], "classes": [CLASSES]}, r"classes has shape \(1, 3\), not"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used_are_refused_by_what_is_wrong(npz, arrays, problem):
    path = npz(**arrays)

    with pytest.raises(InputError, match=problem) as refused:
        read_predictions(path, class_names=CLASSES)
    assert path in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"id": ["a", "b"], "logits": [[1, 2, 3], [4, 5]]}, "has 2 logits for b, but the data has 3 classes"),
        ({"id": ["a", "b"], "logits": [[1, 2, 3], None]}, "has 0 logits for b"),
        ({"id": ["a", "b"], "logits": [[1, 2, 3], [4, None, 6]]}, "not finite for 1 images: b"),
        ({"id": ["a", None], "logits": [[1, 2, 3], [4, 5, 6]]}, "has id of null in 1 rows; they must"),
        ({"id": ["a", "b"], "logits": [1.0, 2.0]}, "logits holds double, not a list of numbers"),
        ({"id": pa.array([], pa.string()), "logits": pa.array([], pa.list_(pa.float32()))}, "holds no"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_used_are_refused_by_what_is_wrong(table, columns, problem):
    with pytest.raises(InputError, match=problem):
        read_predictions(table(columns), class_names=CLASSES)


def test_classes_that_are_no_list_are_refused(table):
    path = table({"id": pa.array(IDS), "logits": pa.array(LOGITS)}, classes=3)

    with pytest.raises(InputError, match="classes is no list, but 3"):
        read_predictions(path, class_names=CLASSES)


def test_an_id_that_is_no_text_in_utf_8_is_that_of_the_image(npz):
    name = b"\xff.png".decode(errors="surrogateescape")  # As Python lists such a file.

    found = read_predictions(npz(id=["a", name], logits=LOGITS[:2]), class_names=CLASSES)

    assert found.check_covers([b"a", rb"\xff.png"]) == 0


def test_a_file_is_refused_by_its_head_alone(npz, tmp_path):
    path = pathlib.Path(npz(id=IDS, logits=LOGITS))
    assert check_predictions(str(path)) == "logits"

    for name, content in (("cut.npz", path.read_bytes()[:100]), ("x.parquet", b"PAR1"), ("text.npz", b"a,b")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            check_predictions(str(tmp_path / name))
    with pytest.raises(InputError, match=r"is no file; did you mean 'p\.npz'\?"):
        check_predictions(str(tmp_path / "q.npz"))
    with pytest.raises(InputError, match=r"is no file; give a \.npz or \.parquet file"):
        check_predictions(str(tmp_path / "nowhere" / "q.npz"))
    (tmp_path / "p.csv").write_bytes(b"id,logits")
    with pytest.raises(InputError, match=r"must be a file called \*\.npz or \*\.parquet"):
        check_predictions(str(tmp_path / "p.csv"))
