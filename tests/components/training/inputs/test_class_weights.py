import math

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from components.distiller.methods.kd import Kd
from components.distiller.objective import Distillation
from components.errors import InputError
from components.training.inputs.class_weights import balanced_weights, named_weights
from components.training.learner import Learner, Supervised

LN2 = math.log(2)
# Cross-entropies with class 0 of ln 2 and ln 4; from a teacher that is undecided, a KL of 0 and of
# ln(4/3) / 2 nats at T = 1.
LOGITS = np.array([[0, 0], [0, math.log(3)]], np.float32)
TARGETS = {"label": np.array([0, 0]), "teacher_logits": np.zeros((2, 2), np.float32)}
KL = math.log(4 / 3) / 2


def loss_of(objective: keras.losses.Loss, *, weights: list[float]) -> float:
    """The training loss of a model whose own regularisation loss is 3."""
    penalty = keras.regularizers.L1(3.0)
    one = keras.initializers.Constant(1)
    layer = keras.layers.Dense(1, kernel_initializer=one, kernel_regularizer=penalty, use_bias=False)
    learner = Learner(model=keras.Sequential([keras.Input((1,)), layer]), objective=objective)
    loss = learner.compute_loss(
        y=TARGETS, y_pred={"logits": LOGITS}, sample_weight=np.array(weights, np.float32)
    )
    return float(loss)


def test_the_weighted_sum_is_divided_by_the_number_of_examples() -> None:
    loss = loss_of(Supervised(), weights=[3.0, 0.5])

    assert loss == pytest.approx((3 * LN2 + 0.5 * 2 * LN2) / 2 + 3)


def test_a_weight_multiplies_the_own_loss_and_the_distance_to_the_teacher() -> None:
    objective = Distillation(Kd(name="student", method="kd", student_loss_weight=0.25, temperature=1.0))

    loss = loss_of(objective, weights=[3.0, 0.5])

    second = 0.25 * 2 * LN2 + 0.75 * KL
    assert loss == pytest.approx((3 * 0.25 * LN2 + 0.5 * second) / 2 + 3)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [70, 20, 10])

    weights = balanced_weights({0: 70, 1: 20, 2: 10}, num_classes=3)

    assert weights == pytest.approx([100 / 210, 100 / 60, 100 / 30])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights == pytest.approx(expected.tolist())


def test_a_class_that_does_not_occur_takes_no_part_in_the_balance() -> None:
    assert balanced_weights({0: 3, 2: 1}, num_classes=3) == [4 / 6, 1, 4 / 2]


def test_named_weights_stand_in_the_order_of_the_labels() -> None:
    assert named_weights({"cat": 3.0, "ant": 0.5}, class_names=["ant", "bee", "cat"]) == [0.5, 1, 3]
    with pytest.raises(
        InputError, match=r"names 'cow', which is no class of the data; .* are ant, bee, cat\.$"
    ):
        named_weights({"cow": 3.0}, class_names=["ant", "bee", "cat"])
