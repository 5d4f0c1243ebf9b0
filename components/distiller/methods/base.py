"""What a method of distillation is: its settings, and what follows from them.

A configuration is checked by these classes, so that Keras is imported only when a student is trained.
"""

import abc
import re
from typing import Any, ClassVar

import numpy as np
from etils import epy
from pydantic import field_validator

from components.settings.base import Fraction, PositiveFloat, Settings, custom_error

with epy.lazy_imports():
    from keras import ops

    from components.training import losses, online_teacher

_OTHER_MODELS = ("teacher", "scratch")


class Method(Settings, abc.ABC):
    """A method of distillation and its hyper-parameters.

    `student_loss_weight` weighs the student's own loss on the labels: 0 is pure distillation, 1 is supervised
    training.

    Attributes:
      needs_labels: Whether its distance looks at the label of an image, of which there must be just one.
      asks_teacher: Whether the teacher has to run in the training step, since its logits are not enough.
      run_parameters: The keys, all of numbers, that can be set for each run of a compiled pipeline.
    """

    needs_labels: ClassVar[bool] = False
    asks_teacher: ClassVar[bool] = False
    run_parameters: ClassVar[tuple[str, ...]] = ("student_loss_weight",)

    name: str
    student_loss_weight: Fraction = 0.1
    method: str

    @property
    def needs_all_logits(self) -> bool:
        """Whether its distance is no longer what it is called where unlikely classes share their probability.

        That is so of all that does not compare probabilities alone.
        """
        return True

    @abc.abstractmethod
    def distance(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns how far the student is from its teacher on each example, `[batch]`.

        Finite logits, however large, give finite values and gradients.

        Args:
          targets: `teacher_logits` `[batch, num_classes]`, `label` `[batch]` and `epoch`, a scalar, from
            0; of methods with `layers` also `teacher_features` and `student_features` `[batch, ...]`.
          logits: The student's, `[batch, num_classes]`.
        """

    @property
    def layers(self) -> "online_teacher.Layers | None":
        """The layers whose outputs the distance compares; None if it looks at the logits alone."""
        return None

    def find_problem(self, teacher_logits: np.ndarray) -> str | None:
        """Says why a student would learn nothing from a teacher, or returns None if it would.

        Args:
          teacher_logits: The teacher's logits for some examples, `[examples, num_classes]`.
        """
        return None

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            raise custom_error("must start with a letter and hold only letters, digits, '_' and '-'")
        if name.lower() in _OTHER_MODELS:
            raise custom_error("is the name of another model of the comparison; choose another")
        return name


class SoftMethod(Method):
    """A method that compares probabilities, softened by a temperature."""

    run_parameters = ("temperature", *Method.run_parameters)

    temperature: PositiveFloat = 4.0

    def soften(self, logits: Any) -> Any:
        """Returns the log-probabilities that are compared.

        Args:
          logits: Of the teacher or of the student, `[batch, num_classes]`.
        """
        return ops.log_softmax(logits / self.temperature, axis=-1)

    def divergence(self, targets: dict[str, Any], logits: Any) -> Any:
        """Returns T² KL(teacher ‖ student) of each example, in nats times T², `[batch]`.

        Scaled by T², its gradient keeps its magnitude when the temperature T changes. Hinton, Vinyals and
        Dean, "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531.
        """
        teacher, student = self.soften(targets["teacher_logits"]), self.soften(logits)
        return self.temperature**2 * losses.kl_divergence(teacher, student)

    def find_problem(self, teacher_logits: np.ndarray) -> str | None:
        """Says so if the teacher's softened probabilities are all equal, to float32 precision."""
        softened = ops.convert_to_numpy(self.soften(ops.convert_to_tensor(teacher_logits, "float32")))
        if np.ptp(softened, axis=-1).max() > np.finfo(np.float32).eps:
            return None
        return (
            f"its probabilities at temperature {self.temperature:g} are all equal to float precision; lower "
            "the temperature"
        )
