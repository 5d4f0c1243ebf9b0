import pickle
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from components.example_gen.registry import DataSettings, open_source
from components.example_gen.sources.digits import DigitsData, DigitsSource
from components.example_gen.sources.image_folder import ImageFolderData, ImageFolderSource
from components.example_gen.sources.image_list import ImageListData, ImageListSource
from components.example_gen.sources.tfds import TfdsData, TfdsSource
from components.example_gen.unlabelled.all_but_test import UnlabelledSource

SPLITS = dict.fromkeys(("train", "validation", "test"), "train")


@pytest.mark.parametrize(
    ("given", "kind", "source"),
    [
        ({"source": "digits"}, DigitsData, DigitsSource),
        ({"source": "image_folder", "path": "pets"}, ImageFolderData, ImageFolderSource),
        ({"source": "image_list", "path": "pets.csv"}, ImageListData, ImageListSource),
        ({"source": "tfds", "dataset": "mnist", "splits": SPLITS}, TfdsData, TfdsSource),
    ],
)
def test_opens_what_the_settings_name(given: dict, kind: type, source: type) -> None:
    settings = TypeAdapter(DataSettings).validate_python(given)
    bare = TypeAdapter(DataSettings).validate_python(given | {"labels": False})

    assert isinstance(settings, kind)
    assert open_source(settings) == source(settings)
    assert open_source(bare) == UnlabelledSource(source(bare))
    assert pickle.loads(pickle.dumps(open_source(bare))) == open_source(bare)


def test_every_module_is_a_source_and_no_other_is_known() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(DataSettings).validate_python({"source": "s3"})
    (error,) = caught.value.errors()
    assert error["ctx"]["expected_tags"] == "'digits', 'image_folder', 'image_list', 'tfds'"


@pytest.mark.parametrize(
    ("kind", "key"), [(DigitsData, None), (ImageFolderData, "path"), (TfdsData, "data_dir")]
)
def test_a_source_says_which_setting_is_its_location(kind: type, key: str | None) -> None:
    assert kind.location_key == key
    assert key is None or key in kind.model_fields


def test_checking_loads_no_heavy_library() -> None:
    program = """
import sys
from components.example_gen.registry import open_source
from components.example_gen.sources.digits import DigitsData
source = open_source(DigitsData(source="digits"))
source.check()
source.fingerprint()
heavy = {"numpy", "PIL", "sklearn", "tensorflow", "tensorflow_datasets"}
print(heavy & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
