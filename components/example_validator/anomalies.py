"""Puts anomalies into words."""

from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import anomalies_pb2


def describe(anomalies: Mapping[str, anomalies_pb2.Anomalies]) -> list[str]:
    """Describes each anomaly in TFDV's own words.

    Args:
      anomalies: The anomalies of each split.

    Returns:
      One line for each anomaly: split, feature, short and long description. None if all is well.
    """
    lines = []
    for split, found in anomalies.items():
        if found.HasField("dataset_anomaly_info"):
            lines.append(f"split {split!r}: {_words(found.dataset_anomaly_info)}")
        for feature, info in sorted(found.anomaly_info.items()):
            lines.append(f"split {split!r}, feature {feature!r}: {_words(info)}")
    return lines


def _words(info: anomalies_pb2.AnomalyInfo) -> str:
    return f"{info.short_description}: {info.description.rstrip('.')}"
