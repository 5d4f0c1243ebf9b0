"""Data sets of TensorFlow Datasets (TFDS)."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from components.errors import InputError
from components.example_gen import tfds_splits
from components.example_gen.source import Listing, Record, Source, SourceSettings
from components.settings.base import Settings
from components.storage.copies import local_copy
from components.storage.listed import DataPath, check_reached, data_path
from components.storage.uri import is_remote

_INFO_FILE = "dataset_info.json"
_READ_BATCH = 64  # One by one, tf.data hands over mnist's images four times slower.

ShardLengths = Mapping[str, Sequence[int]]


class Splits(Settings):
    """A TFDS split expression, such as `train[:90%]`, for each split of the pipeline."""

    train: str
    validation: str
    test: str


class TfdsData(SourceSettings):
    """Any image classification data set of TensorFlow Datasets.

    `dataset` is its name, with config and version if wanted: `name/config:1.2.3`. `data_dir` is where the
    prepared data lies; None is TFDS's default. `sample_weight` names a feature with a number that each
    example's loss is multiplied by in training.
    """

    location_key: ClassVar[str] = "data_dir"

    source: Literal["tfds"]
    dataset: Annotated[str, Field(min_length=1)]
    data_dir: str | None = None
    splits: Splits
    sample_weight: Annotated[str, Field(min_length=1)] | None = None

    @property
    def has_weights(self) -> bool:
        """Whether each example has a weight."""
        return self.sample_weight is not None

    def make_source(self) -> "TfdsSource":
        """Returns the data set; nothing is read yet."""
        return TfdsSource(self)


@dataclasses.dataclass(frozen=True)
class TfdsSource(Source):
    """An image classification data set of TFDS, whose images are kept as they are encoded."""

    settings: TfdsData

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; needs the data set to be prepared."""
        builder = self._builder()
        label = builder.info.features[_feature_keys(builder)[1]]
        return tuple(label.int2str(index) for index in range(label.num_classes))

    def check(self) -> None:
        """Refuses a missing `data_dir`, and split expressions that are wrong as far as can be seen.

        Where the data set is prepared already, that is: names of splits, bounds and overlaps.
        """
        given = f"data.data_dir: got {self.settings.data_dir!r}, which"
        check_reached(self._data_dir, given=given)
        if self.settings.data_dir is not None and not self._data_dir.is_dir():
            raise InputError(
                f"{given} is no folder; give the folder of prepared TFDS data, or null for TFDS's default."
            )
        for split, expression in self._splits.items():
            with _naming_split(split, expression):
                tfds_splits.parse(expression)
        folder = self._prepared_folder()
        if folder:
            self._resolve(stored_shard_lengths(folder))
        elif is_remote(str(self._data_dir)):
            raise InputError(
                f"{given} holds no prepared {self.settings.dataset!r}; prepare it here, and copy it there."
            )

    def fingerprint(self) -> str:
        """Returns a hash of the prepared data's description and file sizes, or of the name."""
        digest = hashlib.sha256(self.settings.dataset.encode())
        folder = self._prepared_folder()
        if folder:
            digest.update((folder / _INFO_FILE).read_bytes())
            found: Iterator[DataPath] = folder.iterdir()
            for file in sorted(found, key=str):
                digest.update(f"{file.name!r} {file.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    def prepare(self) -> None:
        """Downloads and prepares the data set where that is still to be done, and checks it."""
        self.check()
        builder = self._builder()
        if not builder.is_prepared():
            _download(builder)
        _check_files(builder)
        _feature_keys(builder)
        self._check_weight(builder)
        self._resolve(_shard_lengths(builder))

    def shards(self, split: str) -> list[str]:
        """Returns the shards of a split, as split expressions."""
        return tfds_splits.cut(self._resolve(_shard_lengths(self._builder()))[split])

    def listing(self, split: str) -> Listing:
        """Counts the labels of a split without reading its images."""
        import tensorflow_datasets as tfds

        builder = self._builder()
        _, label = _feature_keys(builder)
        labels: Counter[int] = Counter()
        for shard in self.shards(split):
            examples = builder.as_dataset(split=shard, decoders=tfds.decode.PartialDecoding({label: True}))
            for batch in tfds.as_numpy(examples.batch(_READ_BATCH)):
                labels.update(batch[label].tolist())
        return Listing(labels)

    def read(self, shard: str) -> Iterator[Record]:
        """Reads one shard; the id of a record is its TFDS id."""
        import tensorflow_datasets as tfds

        builder = self._builder()
        image, label = _feature_keys(builder)
        weights = {self.settings.sample_weight: True} if self.settings.sample_weight else {}
        examples = builder.as_dataset(
            split=shard,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(
                {image: True, label: True, **weights}, decoders={image: tfds.decode.SkipDecoding()}
            ),
            read_config=tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1, try_autocache=False),
        )
        for batch in tfds.as_numpy(examples.batch(_READ_BATCH)):
            columns = [batch["tfds_id"], batch[image], batch[label], *(batch[name] for name in weights)]
            for name, encoded, target, *weight in zip(*columns, strict=True):
                yield Record(name.decode(), encoded, int(target), *map(float, weight))

    @property
    def _splits(self) -> dict[str, str]:
        return self.settings.splits.model_dump()

    def _check_weight(self, builder: Any) -> None:
        name = self.settings.sample_weight
        if name is None:
            return
        import numpy as np

        features = dict(builder.info.features.items())
        feature = features.get(name)
        if feature is None or feature.shape != () or not np.issubdtype(feature.np_dtype, np.floating):
            raise InputError(
                f"data.sample_weight: got {name!r}, which is no feature of {builder.name!r} with one "
                f"floating-point number an example; its features are {', '.join(sorted(features))}."
            )

    @property
    def _data_dir(self) -> DataPath:
        return data_directory(self.settings.data_dir)

    def _builder(self) -> Any:
        if not is_remote(str(self._data_dir)):
            return _load_builder(self.settings.dataset, str(self._data_dir))
        return _open_builder(str(local_copy(str(self._prepared_folder()))))

    def _prepared_folder(self) -> DataPath | None:
        return prepared_folder(self.settings.dataset, data_dir=self._data_dir)

    def _resolve(self, shard_lengths: ShardLengths) -> dict[str, tuple[tfds_splits.Slice, ...]]:
        resolved = {}
        for split, expression in self._splits.items():
            with _naming_split(split, expression):
                resolved[split] = tfds_splits.resolve(expression, shard_lengths=shard_lengths)
        pieces = [(split, piece) for split, slices in resolved.items() for piece in slices]
        for (left, one), (right, other) in itertools.combinations(pieces, 2):
            if tfds_splits.overlap(one, other):
                raise InputError(
                    f"data.splits.{right}: got {self._splits[right]!r}, which selects examples that are in "
                    f"data.splits.{left} ({self._splits[left]!r}) already; the splits must not overlap."
                )
        return resolved


def data_directory(data_dir: str | None) -> DataPath:
    """Returns where prepared data lies: where TFDS itself looks if no folder is given."""
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return data_path(data_dir or default)


def prepared_folder(dataset: str, *, data_dir: DataPath) -> DataPath | None:
    """Finds prepared data without asking TFDS; the latest version unless one is named.

    Args:
      dataset: As `TfdsData` has it.
      data_dir: Where prepared data lies.
    """
    name, _, version = dataset.partition(":")
    folder = data_path(str(data_dir / name))  # At a URI, of which no other data set is listed.
    if version:
        return folder / version if (folder / version / _INFO_FILE).is_file() else None
    try:
        versions: list[DataPath] = list(filter(_version, folder.iterdir())) if folder.is_dir() else []
    except PermissionError:
        return None
    found = [each for each in versions if (each / _INFO_FILE).is_file()]
    return max(found, key=_version, default=None)


@contextlib.contextmanager
def _naming_split(split: str, expression: str) -> Iterator[None]:
    """Turns what is wrong with a split expression into a sentence that names its key."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"data.splits.{split}: got {expression!r}; {error}") from None


@functools.lru_cache
def _load_builder(dataset: str, data_dir: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(dataset, data_dir=data_dir)
    except (ValueError, AssertionError) as error:  # Unknown; or known, but not in this config or version.
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"data.dataset: got {dataset!r}, which TensorFlow Datasets cannot open in {data_dir} ({reason}); "
            "see https://www.tensorflow.org/datasets/catalog for the names."
        ) from None


@functools.lru_cache
def _open_builder(folder: str) -> Any:
    """Opens prepared data."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _download(builder: Any) -> None:
    from tensorflow_datasets.core.download import download_manager, extractor, util

    failures = (
        OSError,
        AssertionError,  # TFDS raises it where files must be downloaded by hand.
        download_manager.NonMatchingChecksumError,
        extractor.ExtractError,
        util.DownloadError,
    )
    try:
        builder.download_and_prepare()
    except failures as error:
        raise InputError(
            f"data.dataset: {builder.name!r} is not prepared in {builder.data_dir} and could not be "
            f"downloaded ({type(error).__name__}: {error}); prepare it there, or give data.data_dir."
        ) from error


def _check_files(builder: Any) -> None:
    for split in builder.info.splits.values():
        for path in split.filepaths:
            if not path.exists():
                raise InputError(
                    f"data.dataset: {builder.name!r} lacks the file {str(path)!r}; put it back, or remove "
                    "its folder to have the data set prepared again."
                )


def _feature_keys(builder: Any) -> tuple[str, str]:
    """Finds the image and the label among the features of a data set."""
    from tensorflow_datasets.core import features

    preferred = builder.info.supervised_keys or ()
    keys = []
    for kind, name in ((features.Image, "image"), (features.ClassLabel, "class label")):
        found = [key for key, feature in builder.info.features.items() if isinstance(feature, kind)]
        chosen = [key for key in found if key in preferred] if len(found) > 1 else found
        if len(chosen) != 1:
            raise InputError(
                f"data.dataset: {builder.name!r} has {len(found)} {name} features among "
                f"{', '.join(builder.info.features)}; expected an image classification data set, with one."
            )
        keys.append(chosen[0])
    return keys[0], keys[1]


def _shard_lengths(builder: Any) -> dict[str, list[int]]:
    return {name: list(split.shard_lengths) for name, split in builder.info.splits.items()}


def stored_shard_lengths(folder: DataPath) -> dict[str, list[int]]:
    """Reads how many examples each file of each split of prepared data holds.

    Raises:
      InputError: The description of the data is damaged.
    """
    try:
        splits = json.loads((folder / _INFO_FILE).read_text(encoding="utf-8"))["splits"]
        return {split["name"]: [int(length) for length in split["shardLengths"]] for split in splits}
    except (KeyError, ValueError):
        raise InputError(
            f"data.dataset: {str(folder / _INFO_FILE)!r} is damaged; remove its folder to have the data set "
            "prepared again."
        ) from None


def _version(folder: DataPath) -> tuple[int, ...]:
    """Reads a folder's name as a version; empty if it is none."""
    return tuple(map(int, folder.name.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", folder.name) else ()
