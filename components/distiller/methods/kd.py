"""Knowledge distillation."""

from typing import Any, Literal

from etils import epy

from components.distiller.methods.base import SoftMethod
from components.settings.base import PositiveFloat

with epy.lazy_imports():
    from components.training import losses


class Kd(SoftMethod):
    """Knowledge distillation, Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    `standardise_logits` compares standardised logits: Sun et al. 2024, https://arxiv.org/abs/2403.01427.
    """

    method: Literal["kd"]
    temperature: PositiveFloat = 2.0  # Of 1, 2 and 4 the best over the data sets of docs/results.md.
    standardise_logits: bool = False

    @property
    def needs_all_logits(self) -> bool:
        """Whether it compares standardised logits: their mean and deviation are those of all classes."""
        return self.standardise_logits

    def soften(self, logits: Any) -> Any:
        """Returns log-probabilities, of standardised logits if so set."""
        return super().soften(losses.standardise_logits(logits) if self.standardise_logits else logits)

    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns T² KL(teacher ‖ student), `[batch]`."""
        return self.divergence(targets, logits)
