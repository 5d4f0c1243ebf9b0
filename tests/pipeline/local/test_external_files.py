import pathlib

import pytest

from pipeline.config.loading import load_config
from pipeline.local.external_files import fingerprint_files
from pipeline.local.workspace import Workspace

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"
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
