import numpy as np
import pytest

from benchmarks.outcomes import Run, half_width, mean_correct, summarise


def test_each_image_is_averaged_over_the_models_that_were_tested_on_it() -> None:
    outcomes = [{"b": True, "a": False}, {"a": True, "b": True}, {"c": False}]

    assert mean_correct(outcomes).tolist() == [0.5, 1.0, 0.0]


def test_half_the_width_of_an_interval_is_students_t_times_the_error_of_the_mean() -> None:
    # The standard deviation is 1; Student's t for two degrees of freedom at 97.5 % is 4.303.
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.303 / np.sqrt(3), rel=1e-4)
    assert half_width([1.0]) is None


def test_a_method_is_represented_by_its_best_variant_on_validation() -> None:
    def run(method: str, variant: int, seed: int, validation: float, correct: str) -> Run:
        outcomes = {f"image/{number}": mark == "+" for number, mark in enumerate(correct)}
        return Run(
            method=method,
            settings={"variant": variant},
            seed=seed,
            validation_accuracy=validation,
            correct=outcomes,
        )

    results = summarise(
        [
            run("teacher", 0, 0, 0.9, "+++++++-"),
            run("teacher", 0, 1, 0.9, "++++++++"),
            run("scratch", 0, 0, 0.5, "++++----"),
            run("scratch", 0, 1, 0.5, "+++++---"),
            run("kd", 0, 0, 0.6, "++++++++"),  # The best on the test images, which choose nothing.
            run("kd", 0, 1, 0.6, "++++++++"),
            run("kd", 1, 0, 0.8, "+++++---"),
            run("kd", 1, 1, 0.7, "++++++--"),
        ]
    )

    teacher, scratch, kd = results["models"]
    assert (results["test_images"], results["seeds"]) == (8, 2)
    assert kd["accuracies"] == [5 / 8, 6 / 8]
    assert scratch["accuracy"] == pytest.approx((4 / 8 + 5 / 8) / 2)
    assert teacher["accuracy"] == pytest.approx((7 / 8 + 8 / 8) / 2)
    # Student's t for one degree of freedom at 97.5 % is 12.706; the standard error 1/16.
    assert kd["half_width"] == pytest.approx(12.706 / 16, rel=1e-4)
    assert kd["lead"]["estimate"] == pytest.approx(1 / 8)
    assert kd["gap_closed"]["estimate"] == pytest.approx((1 / 8) / (3 / 8))
