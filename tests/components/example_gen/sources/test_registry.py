import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from components.example_gen.sources.digits import DigitsSource
from components.example_gen.sources.image_folder import ImageFolderSource
from components.example_gen.sources.registry import open_source
from components.example_gen.sources.tfds import TfdsSource
from components.example_gen.sources.unlabelled import UnlabelledSource
from components.settings.data import DataSettings

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({"source": "digits", "split_fractions": FRACTIONS}, DigitsSource(FRACTIONS)),
        ({"source": "image_folder", "path": "pets"}, ImageFolderSource("pets", FRACTIONS)),
        (
            {"source": "tfds", "dataset": "mnist", "splits": dict.fromkeys(FRACTIONS, "train")},
            TfdsSource("mnist", None, dict.fromkeys(FRACTIONS, "train")),
        ),
        (
            {"source": "image_folder", "path": "pets", "labels": False},
            UnlabelledSource(ImageFolderSource("pets", FRACTIONS, labels=False)),
        ),
    ],
)
def test_opens_what_the_settings_name(settings: dict, source: object) -> None:
    assert open_source(TypeAdapter(DataSettings).validate_python(settings)) == source


def test_checking_loads_no_heavy_library() -> None:
    program = """
import sys
from components.example_gen.sources.registry import open_source
from components.settings.data import DigitsData
source = open_source(DigitsData(source="digits"))
source.check()
source.fingerprint()
heavy = {"numpy", "PIL", "sklearn", "tensorflow", "tensorflow_datasets"}
print(heavy & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
