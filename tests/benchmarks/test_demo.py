import numpy as np
import pytest

from benchmarks.demo import MODELS, summarise


def test_a_lead_is_paired_by_seed_and_has_an_interval_over_the_seeds_and_over_the_images() -> None:
    def run(scratch: str, distilled: str) -> dict:
        results = {name: {"validation_accuracy": 0.5, "correct": [True] * 8} for name in MODELS}
        for name, marks in (("scratch", scratch), ("distilled", distilled)):
            results[name]["correct"] = [mark == "+" for mark in marks]
        return results

    rows = summarise([run("++++----", "+++++++-"), run("+++++---", "++++++--"), run("++------", "++++----")])

    assert rows["distilled"]["accuracies"] == [7 / 8, 6 / 8, 4 / 8]
    assert rows["scratch"]["accuracy"] == pytest.approx(11 / 24)
    assert "lead" not in rows["scratch"]
    lead = rows["distilled"]["lead"]
    # The leads are 3, 1 and 2 of 8 images; Student's t for two degrees of freedom at 97.5 % is 4.303.
    assert lead["estimate"] == pytest.approx(2 / 8)
    assert lead["over_seeds"] == pytest.approx(
        [2 / 8 - 4.303 / 8 / np.sqrt(3), 2 / 8 + 4.303 / 8 / np.sqrt(3)], 1e-3
    )
    # By image, of three seeds each: 0, 0, 1, 1, 1, 2, 1, 0; for seven degrees of freedom it is 2.365.
    by_image = np.array([0, 0, 1, 1, 1, 2, 1, 0]) / 3
    half = 2.365 * by_image.std(ddof=1) / np.sqrt(8)
    assert lead["over_images"] == pytest.approx([2 / 8 - half, 2 / 8 + half], rel=1e-2)


def test_a_single_seed_gives_a_lead_without_an_interval_over_the_seeds() -> None:
    run = {name: {"validation_accuracy": 0.5, "correct": [True, False]} for name in MODELS}

    lead = summarise([run])["distilled"]["lead"]

    assert (lead["estimate"], lead["over_seeds"]) == (0.0, None)
