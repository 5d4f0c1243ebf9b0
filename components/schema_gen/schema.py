"""The schema of the examples: features, the domain of the label, and the names of the classes."""

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.errors import InputError
from components.example_gen.source import NO_LABEL

if TYPE_CHECKING:
    import tensorflow_data_validation as tfdv

CLASS_NAMES_DOMAIN = "class_names"
# The feature that says how much an example counts in training, where the data set has one.
WEIGHT = "weight"

_FEATURE_TYPES = {
    "image": schema_pb2.BYTES,
    "id": schema_pb2.BYTES,
    "label": schema_pb2.INT,
    "height": schema_pb2.INT,
    "width": schema_pb2.INT,
    WEIGHT: schema_pb2.FLOAT,
}

# TFDV validates the labels that are in the histogram, the most frequent ones. A wrong label is rare.
_MAX_DISTINCT_LABELS = 1_000_000


def statistics_options() -> "tfdv.StatsOptions":
    """Returns options for statistics that count labels and leave the content of images and ids alone.

    They can be turned into JSON, as StatisticsGen wants it.
    """
    schema = schema_pb2.Schema()
    for name in ("image", "id"):
        # By this domain TFDV knows that a feature is bytes, not text.
        schema.feature.add(name=name, type=schema_pb2.BYTES).image_domain.SetInParent()
    schema.feature.add(name="label", type=schema_pb2.INT).int_domain.is_categorical = True
    return _import_tfdv().StatsOptions(schema=schema, num_rank_histogram_buckets=_MAX_DISTINCT_LABELS)


def infer_schema(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, *, class_names: Sequence[str]
) -> schema_pb2.Schema:
    """Infers a schema from statistics, and adds what is known beforehand.

    Args:
      statistics: Statistics of the training split.
      class_names: The name of each class, in the order of the labels.

    Returns:
      A schema in which `image`, `id`, `label`, `height`, `width` and, if there is one, `weight` are
      required scalars, a label is the index of a class name, a weight is finite and not negative, and any
      further feature is as TFDV infers it. Where no example has a label, `NO_LABEL` stands for one.
    """
    no_label = set(count_labels(statistics) or ()) == {NO_LABEL}
    schema = _import_tfdv().infer_schema(statistics, infer_feature_shape=True)
    schema.feature.sort(key=lambda each: each.name)  # Each engine leaves the statistics in another order.
    domains = sorted(
        (domain for domain in schema.string_domain if domain.name != "label"), key=lambda each: each.name
    )
    del schema.string_domain[:]
    schema.string_domain.extend(domains)
    schema.string_domain.add(name=CLASS_NAMES_DOMAIN, value=class_names)
    for feature in schema.feature:
        if feature.name in _FEATURE_TYPES:
            feature.CopyFrom(_required_scalar(feature.name))
        if feature.name == "image":
            feature.image_domain.SetInParent()
        if feature.name == WEIGHT:
            feature.float_domain.CopyFrom(schema_pb2.FloatDomain(min=0, disallow_nan=True, disallow_inf=True))
        if feature.name == "label":
            feature.int_domain.CopyFrom(
                schema_pb2.IntDomain(
                    min=NO_LABEL if no_label else 0, max=len(class_names) - 1, is_categorical=True
                )
            )
    return schema


def count_labels(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[int, int] | None:
    """Reads the number of examples of each label; None if the statistics do not count them."""
    for feature in statistics.datasets[0].features:
        buckets = feature.string_stats.rank_histogram.buckets
        if list(feature.path.step) == ["label"] and buckets:
            return {int(bucket.label): round(bucket.sample_count) for bucket in buckets}
    return None


def class_names(schema: schema_pb2.Schema) -> tuple[str, ...]:
    """Reads the names of the classes, in the order of the labels.

    Raises:
      ValueError: The schema was not made by `infer_schema`.
    """
    for domain in schema.string_domain:
        if domain.name == CLASS_NAMES_DOMAIN:
            return tuple(domain.value)
    raise ValueError(f"The schema has no string_domain {CLASS_NAMES_DOMAIN!r}.")


def check_class_weights(weights: Iterable[str], *, class_names: Sequence[str]) -> None:
    """Raises InputError if a weight is given for something that is no class.

    Args:
      weights: The names that have a weight.
      class_names: The names of the classes.
    """
    for name in weights:
        if name not in class_names:
            raise InputError(
                f"class_weights names {name!r}, which is no class of the data; its classes are "
                f"{', '.join(class_names)}."
            )


def has_weights(schema: schema_pb2.Schema) -> bool:
    """Tells whether the examples have a feature `weight`."""
    return any(feature.name == WEIGHT for feature in schema.feature)


def _required_scalar(name: str) -> schema_pb2.Feature:
    feature = schema_pb2.Feature(name=name, type=_FEATURE_TYPES[name])
    feature.presence.CopyFrom(schema_pb2.FeaturePresence(min_fraction=1.0, min_count=1))
    feature.shape.SetInParent()  # No dimensions: a scalar.
    return feature


def _import_tfdv() -> ModuleType:
    import tfx  # noqa: F401 - stands in for a part of tfx-bsl that TFDV imports
    import tensorflow_data_validation  # isort: skip

    return tensorflow_data_validation
