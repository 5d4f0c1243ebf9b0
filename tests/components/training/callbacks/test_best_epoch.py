import keras
import numpy as np
import pytest

from components.training.callbacks.best_epoch import BestEpoch, index_of_best


@pytest.mark.parametrize(
    ("accuracies", "best"), [([0.5], 0), ([0.5, 0.7, 0.6], 1), ([0.5, 0.7, 0.7], 1), ([0.0, 0.0], 0)]
)
def test_the_best_epoch_is_the_earliest_of_the_highest_accuracy(accuracies: list[float], best: int) -> None:
    assert index_of_best(accuracies) == best


def make_model() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])


def end_epochs(best: BestEpoch, model: keras.Model, accuracies: dict[int, float]) -> None:
    """After epoch n all weights are n."""
    best.set_model(model)
    for epoch, accuracy in accuracies.items():
        model.set_weights([np.full((1, 1), float(epoch))])
        best.on_epoch_end(epoch, {"val_accuracy": accuracy})


def test_it_keeps_the_weights_of_the_best_epoch_so_far() -> None:
    best = BestEpoch()

    end_epochs(best, make_model(), {0: 0.5, 1: 0.7, 2: 0.7, 3: 0.6})

    np.testing.assert_array_equal(best.weights, [[[1.0]]])


def test_restored_it_goes_on_as_if_nothing_had_interrupted_it() -> None:
    first, worse, better = BestEpoch(), BestEpoch(), BestEpoch()
    end_epochs(first, make_model(), {0: 0.5, 1: 0.7, 2: 0.6})
    for resumed in (worse, better):
        resumed.restore(accuracies=first.accuracies, weights=first.weights)

    end_epochs(worse, make_model(), {3: 0.7})
    end_epochs(better, make_model(), {3: 0.8})

    np.testing.assert_array_equal(worse.weights, [[[1.0]]])
    np.testing.assert_array_equal(better.weights, [[[3.0]]])
