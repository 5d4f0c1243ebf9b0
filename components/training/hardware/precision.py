"""Which numeric precision pays on the machine that trains."""

import pathlib

import tensorflow as tf

_CPU_INFO = pathlib.Path("/proc/cpuinfo")
_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
_AMPERE = (8, 0)  # The first compute capability of NVIDIA's GPUs with bfloat16.


def resolve_precision(precision: str) -> str:
    """Turns `auto` into the Keras dtype policy that suits this machine; leaves others as they are.

    Args:
      precision: A Keras dtype policy, or `auto`: `mixed_bfloat16` where the GPUs, or without one the
        processor, compute in bfloat16, and `float32` elsewhere.

    Returns:
      A Keras dtype policy.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _has_bfloat16() else "float32"


def _has_bfloat16() -> bool:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(each.get("compute_capability", (0, 0)) >= _AMPERE for each in details)
    return bool(_CPU_FLAGS & _processor_flags())


def _processor_flags() -> set[str]:
    if not _CPU_INFO.exists():
        return set()
    for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return set(value.split())
    return set()
