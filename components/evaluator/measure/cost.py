"""What a model costs to keep and to run."""

import dataclasses

from components.serving.servable import Servable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """The size of a model.

    Attributes:
      parameters: Number of weights, trainable or not.
      size_bytes: Size of all files of the served model, in bytes.
      multiply_adds: For one image; None where they cannot be counted.
    """

    parameters: int
    size_bytes: int
    multiply_adds: int | None


def measure_cost(model: Servable) -> Cost:
    """Measures what a model costs."""
    return Cost(parameters=model.parameters, size_bytes=model.size_bytes, multiply_adds=model.multiply_adds)
