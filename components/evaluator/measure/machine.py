"""What the numbers were measured on, and with."""

import importlib.metadata
import pathlib
import platform
from typing import Any

import psutil

_PACKAGES = (
    "distillation-pipeline",
    "apache-beam",
    "keras",
    "numpy",
    "tensorflow",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx",
)


def describe_machine() -> dict[str, Any]:
    """Describes this machine: `processor`, `cores`, `memory_bytes` and `system`."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def describe_versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that decide the numbers."""
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **versions}


def _processor() -> str:
    """Returns the processor's name as Linux gives it, else as Python does."""
    information = pathlib.Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
