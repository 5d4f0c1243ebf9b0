"""Matching of logits."""

from typing import Any, Literal

from etils import epy

from components.distiller.methods.base import Method

with epy.lazy_imports():
    from keras import ops


class LogitsMse(Method):
    """Matching of logits, Ba and Caruana 2014, https://arxiv.org/abs/1312.6184."""

    method: Literal["logits_mse"]

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns half the squared distance between the logits, `[batch]`."""
        return 0.5 * ops.sum(ops.square(logits - targets["teacher_logits"]), axis=-1)
