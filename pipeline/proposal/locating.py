"""Finds out what a user means by a path: a folder or list of images, or a data set of TFDS."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import EmptySplitError, InputError, suggest
from components.example_gen import split_names
from components.example_gen.source import Record
from components.example_gen.sources import image_folder, image_list, tfds
from components.example_gen.spans.pattern import holds_span
from components.storage.listed import DataPath, data_path
from components.storage.uri import is_remote, join
from pipeline.silence import silenced

_DATASET = re.compile(r"[a-z]\w*(/[\w.-]+)?(:\d+\.\d+\.\d+)?")
_WANTED = f"a folder of images, a {', '.join(image_list.SUFFIXES)} file, or the name of a data set of TFDS"


def locate(path: str) -> dict[str, Any]:
    """Returns the section `data` of a configuration for the images at a path.

    Args:
      path: A folder of images, a list of them or its URL, a folder of prepared TFDS data, or the name of a
        data set of TFDS.

    Raises:
      InputError: There is no such thing, or the data set is not prepared.
    """
    if not path:
        raise InputError(f"PATH is empty; give {_WANTED}")
    place = data_path(path)
    if _is_list(path, place=place):
        return _from_list(path)
    prepared = tfds.prepared_folder(place.name, data_dir=place.parent)
    if prepared:
        return _from_tfds(place.name, prepared=prepared, data_dir=str(place.parent))
    if isinstance(place, pathlib.Path) and place.is_dir() and not _has_class_folders(path):
        if image_list.find_lists(place):
            return {"source": "image_list", "path": path}
        name = _find_training_list(place)
        if name:
            return _from_list(join(path, name))
    if place.is_dir() or holds_span(path):
        return {"source": "image_folder", "path": path}
    if place.exists():
        raise InputError(f"{path} is neither a folder nor a list; give {_WANTED}")
    prepared = tfds.prepared_folder(path, data_dir=tfds.data_directory(None))
    if prepared:
        return _from_tfds(path, prepared=prepared)
    raise InputError(_explain_missing(path, place=place))


def _is_list(path: str, *, place: DataPath) -> bool:
    """Tells whether a path leads to a list, which at a URL is read by another library than folders are."""
    is_named_so = path.partition("?")[0].lower().endswith(image_list.SUFFIXES)
    return is_named_so and (is_remote(path) or (place.exists() and not place.is_dir()))


def _from_list(path: str) -> dict[str, Any]:
    root = image_list.ImageListData(source="image_list", path=path).make_source().find_root()
    return {"source": "image_list", "path": path, **({"root": root} if root else {})}


def _has_class_folders(path: str) -> bool:
    """Tells whether a folder holds classes; `train_images` and `test_images` alone are none."""
    source = image_folder.ImageFolderData(source="image_folder", path=path).make_source()
    try:
        source.check()
    except EmptySplitError:  # There are classes, though few images.
        pass
    except InputError:
        return False
    return not all(split_names.split_of_images(name) for name in source.class_names)


def _find_training_list(folder: pathlib.Path) -> str | None:
    """Finds the list beside images: one called as Kaggle's `train.csv`, or else the only one that fits.

    Raises:
      InputError: There is one for another split, too.
    """
    files = [each for each in sorted(folder.iterdir()) if each.name.lower().endswith(image_list.SUFFIXES)]
    lists = {each.name: split_names.split_of(each.stem) for each in files if each.is_file()}
    named = [name for name, split in lists.items() if split == "train"]
    fitting = [name for name in lists if name in named or _leads_to_images(join(str(folder), name))]
    others = [name for name in fitting if lists[name] not in (None, "train")]
    if named and others:
        raise InputError(
            f"{folder} holds a list for each of several splits, {named[0]} and {', '.join(others)}; join "
            "them into one, with a column split, and give that"
        )
    names = named or [name for name in fitting if lists[name] is None]
    return names[0] if len(names) == 1 else None


def _leads_to_images(path: str) -> bool:
    """Tells whether a list names images with their labels, and the first of them is there."""
    try:
        source = image_list.ImageListData(**_from_list(path)).make_source()
        first = next((item for shard in source.shards("train") for item in source.read(shard)), None)
    except InputError:
        return False
    return isinstance(first, Record)


def _from_tfds(dataset: str, *, prepared: DataPath, data_dir: str | None = None) -> dict[str, Any]:
    splits = _choose_splits(tfds.stored_shard_lengths(prepared), dataset=dataset)
    return {
        "source": "tfds",
        "dataset": dataset,
        **({"data_dir": data_dir} if data_dir else {}),
        "splits": splits,
    }


def _choose_splits(shard_lengths: Mapping[str, Sequence[int]], *, dataset: str) -> dict[str, str]:
    """Chooses the splits as a folder's are chosen: what is missing is held out of train."""
    found = split_names.by_split(shard_lengths, parent=dataset)
    if "train" not in found:
        raise InputError(f"{dataset} has no split to train on; it has {', '.join(shard_lengths)}.")
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    train = found["train"]
    match "validation" in found, "test" in found:
        case True, _:
            return {split: found[split] for split in split_names.NAMES}
        case False, True:
            return {"train": f"{train}[:90%]", "validation": f"{train}[90%:]", "test": found["test"]}
        case _:
            return {
                "train": f"{train}[:80%]",
                "validation": f"{train}[80%:90%]",
                "test": f"{train}[90%:]",
            }


def _explain_missing(path: str, *, place: DataPath) -> str:
    """Says what might have been meant by a path where nothing is."""
    known = _known_datasets() if _DATASET.fullmatch(path) else []
    name = re.split("[/:]", path)[0]
    if name in known:
        return (
            f"{path} is not prepared in {tfds.data_directory(None)}; give the folder where it is, or fetch "
            f"it with: tfds build {path}"
        )
    is_here = isinstance(place, pathlib.Path) and place.parent.is_dir()
    neighbours = [each.name for each in place.parent.iterdir()] if is_here else []
    hint = suggest(place.name, neighbours)
    if hint or not known:
        return f"{path} does not exist{hint or '; give a folder of images'}"
    hint = suggest(name, known) or "; give a folder of images"
    return f"{path} is neither a folder here nor a data set of TensorFlow Datasets{hint}"


def _known_datasets() -> list[str]:
    with silenced():
        import tensorflow_datasets

        names: list[str] = tensorflow_datasets.list_builders()
    return names
