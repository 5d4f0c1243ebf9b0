import json
import pathlib

import pytest

from components.serving.versions import Origin, Versions
from pipeline.config.loading import load_config
from pipeline.local.external_files import fingerprint_files
from pipeline.local.workspace import Workspace

TESTS = pathlib.Path(__file__).parents[2]
DIGITS = TESTS.parent / "configs" / "digits.yaml"
TRAINED = "epochs: 1, batch_size: 8, learning_rate: 0.1"


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("teacher={{from: {path}}}", "teacher"),
        (f"student={{{{from: {{path}}, {TRAINED}}}}}", "student"),
        (
            f"student={{{{architecture: keras.applications.VGG16, weights: {{path}}, {TRAINED}}}}}",
            "student",
        ),
    ],
)
def test_what_is_in_a_models_file_decides_what_is_taken_from_the_cache(
    model: str, key: str, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "model"
    config = load_config(DIGITS, overrides=[model.format(path=file)])

    def fingerprints(content: bytes) -> dict[str, str]:
        file.write_bytes(content)
        return fingerprint_files(config, workspace=Workspace(tmp_path), push_directory=tmp_path / "pushed")

    before, after = fingerprints(b"some weights"), fingerprints(b"other weights")

    assert {name for name in after if after[name] != before[name]} == {key}
    assert fingerprints(b"some weights") == before


def test_a_student_is_compared_with_what_ships_but_what_was_rolled_back_is_not_pushed_again(
    tmp_path: pathlib.Path,
) -> None:
    config = load_config(DIGITS)
    versions = Versions(tmp_path / "pushed")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").touch()

    def fingerprints() -> dict[str, str]:
        return fingerprint_files(config, workspace=Workspace(tmp_path), push_directory=versions.directory)

    def push() -> str:
        return versions.push(tmp_path / "model", origin=Origin(reason="")).version

    at_first = fingerprints()
    assert at_first["incumbent"] == "none"
    older = push()
    assert fingerprints()["incumbent"] == older

    # This experiment pushes, and leaves its summary.
    of_run = fingerprints()
    summary = json.loads((TESTS / "example_summary.json").read_text())
    summary |= {
        "configuration": config.to_record(),
        "fingerprints": of_run,
        "pushed_model": str(versions.directory / push()),
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))

    assert fingerprints() == of_run
    versions.roll_back(to=None, reason="bad")
    assert fingerprints() == of_run
    newer = push()
    assert fingerprints()["incumbent"] == newer
