"""Successive halving on training curves that are made by hand."""

from collections.abc import Mapping, Sequence

import pytest

from components.distiller.halving import halve, rungs


@pytest.mark.parametrize(
    ("variants", "epochs", "ends"),
    [
        (1, 60, [60]),
        (2, 60, [30, 60]),
        (3, 60, [15, 30, 60]),
        (8, 60, [8, 15, 30, 60]),
        (9, 60, [4, 8, 15, 30, 60]),
        (4, 1, [1, 1, 1]),
    ],
)
def test_the_epochs_double_while_the_variants_halve(variants: int, epochs: int, ends: list[int]) -> None:
    found = rungs(variants, epochs=epochs)

    assert [rung.stop for rung in found] == ends
    assert [rung.start for rung in found] == [0, *ends[:-1]]


class Curves:
    """Trains by reading validation accuracies and losses from tables; notes what was asked for.

    A training whose table is too short diverges.
    """

    def __init__(
        self, accuracies: Mapping[str, Sequence[float]], losses: Mapping[str, float] | None = None
    ) -> None:
        self.accuracies = accuracies
        self.losses = losses or dict.fromkeys(accuracies, 0.5)
        self.asked: list[tuple[str, int, int]] = []

    def train(self, variant: str, epochs: range) -> list[dict[str, float]] | None:
        self.asked.append((variant, epochs.start, epochs.stop))
        loss = self.losses[variant]
        if len(self.accuracies[variant]) < epochs.stop:
            return None  # It has diverged.
        # An interrupted attempt may have gone further than is asked for now.
        return [{"val_accuracy": accuracy, "val_loss": loss} for accuracy in self.accuracies[variant]]


def test_the_worse_half_is_stopped_ever_again() -> None:
    curves = Curves(
        {
            "a": [0.1, 0.2, 0.9, 0.9],
            "b": [0.3, 0.5, 0.5, 0.5],
            "c": [0.2, 0.6, 0.6, 0.6],
            "d": [0.4, 0.4, 0.4, 0.4],
        }
    )

    # After epoch 1: d, b, c, a; after epoch 2 of the first two b leads. What "a" would reach does not count.
    assert halve(list("abcd"), epochs=4, train=curves.train, name="search") == "b"
    assert curves.asked == [*((each, 0, 1) for each in "abcd"), ("b", 1, 2), ("d", 1, 2), ("b", 2, 4)]


def test_a_variant_counts_by_its_best_epoch_so_far() -> None:
    curves = Curves({"a": [0.6, 0.1, 0.1, 0.1], "b": [0.2, 0.5, 0.5, 0.5]})

    assert halve(["a", "b"], epochs=4, train=curves.train, name="search") == "a"


def test_of_equals_the_lower_loss_wins_and_then_the_first() -> None:
    accuracies = {"a": [0.5, 0.5], "b": [0.5, 0.5], "c": [0.5, 0.5]}

    lower = Curves(accuracies, {"a": 0.4, "b": 0.3, "c": 0.4})
    assert halve(["a", "b", "c"], epochs=2, train=lower.train, name="search") == "b"
    equal = Curves(accuracies)
    assert halve(["c", "b", "a"], epochs=2, train=equal.train, name="search") == "c"
    assert [each[0] for each in equal.asked] == ["c", "b", "a", "c", "b", "c"]


def test_a_variant_that_diverges_leaves_its_place_to_the_next_best() -> None:
    """With six variants three go on after epoch 1, two after 2 and one after 4."""
    curves = Curves(
        {
            "a": [0.9, 0.9],  # It leads until it diverges in epoch 3.
            "b": [0.8] * 8,
            "c": [],
            "d": [0.7, 0.7, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95],
            "e": [0.6] * 8,
            "f": [0.5] * 8,
        }
    )

    assert halve(list("abcdef"), epochs=8, train=curves.train, name="search") == "d"
    trained = {
        variant: max(stop for name, _, stop in curves.asked if name == variant) for variant in "abcdef"
    }
    assert trained == {"a": 4, "b": 4, "c": 1, "d": 8, "e": 2, "f": 1}


def test_the_last_one_left_may_diverge_too() -> None:
    curves = Curves({"a": [0.9, 0.9, 0.9], "b": [0.5] * 4})

    assert halve(["a", "b"], epochs=4, train=curves.train, name="search") == "b"
    assert curves.asked[-1] == ("b", 2, 4)


def test_where_all_diverge_none_wins() -> None:
    curves = Curves({"a": [0.9, 0.9, 0.9], "b": [], "c": [0.5]})

    assert halve(["a", "b", "c"], epochs=4, train=curves.train, name="search") is None
