"""A search of which some variants diverge, through the whole graph."""

import pathlib
from typing import Any

import pytest
from command_line import REPOSITORY, distill, run, states
from launcher import orchestrating

# Times 1e30 the gradient overflows float32 in the first step, or the weights do.
SEARCH = {
    "teacher.epochs": 2,
    "student.epochs": 2,
    "distillations": "[{name: distilled, method: dist, inter_class_weight: [1.0, 1.0e+30, 1.0e+35]}]",
    "evaluation.min_accuracy": 0.05,
}
DIVERGED = ["Distiller-distilled-inter-class-weight-1e30", "Distiller-distilled-inter-class-weight-1e35"]


def options(**changes: object) -> list[str]:
    """Returns the search as options of the command line."""
    changed = SEARCH | {key.replace("__", "."): value for key, value in changes.items()}
    return [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]


def assert_one_was_left(evaluation: dict[str, Any]) -> None:
    tried = evaluation["searches"]["distilled"]
    assert [
        (each["settings"]["inter_class_weight"], each["chosen"], each["diverged_in"]) for each in tried
    ] == [
        (1.0, True, None),
        (1e30, False, 1),
        (1e35, False, 1),
    ]
    assert evaluation["variants_tried"] == 3
    assert "the best of 3 variants on the validation split; 2 diverged)" in evaluation["verdict"]


@pytest.mark.long
def test_a_run_goes_on_without_what_diverges_and_ends_where_all_do(tmp_path: pathlib.Path) -> None:
    summary, printed = run("digits.yaml", tmp_path, *options())

    assert_one_was_left(summary)
    for node in DIVERGED:
        assert f"{node} diverged in epoch 1, and is left out of the search." in printed
    again, _ = run("digits.yaml", tmp_path, *options())
    assert set(states(again).values()) == {"cached"}
    assert_one_was_left(again)

    halved, _ = run("digits.yaml", tmp_path, *options(search__halving="true"))
    assert_one_was_left(halved)
    (weights, halved_weights) = (each["models"]["distilled"]["accuracy"] for each in (summary, halved))
    assert weights == halved_weights

    overflowing = "[{name: distilled, method: dist, inter_class_weight: [1.0e+30, 1.0e+35]}]"
    for halving in ("false", "true"):
        result = distill(
            *("run", REPOSITORY / "configs/digits.yaml", "--workspace", tmp_path),
            *options(distillations=overflowing, search__halving=halving),
        )
        assert result.returncode == 1
        assert "Each of the 2 variants of" in result.stderr.splitlines()[-1]
        assert "lower its learning_rate" in result.stderr.splitlines()[-1]

    # As a distillation of its own the same ends the run: the note of the search is no model in the cache.
    alone = "[{name: distilled-inter_class_weight-1e30, method: dist, inter_class_weight: 1.0e+30}]"
    result = distill(
        *("run", REPOSITORY / "configs/digits.yaml", "--workspace", tmp_path), *options(distillations=alone)
    )
    assert result.returncode == 1
    assert "distill: The loss of Distiller-distilled-inter-class-weight-1e30 became" in result.stderr


@pytest.mark.long
@pytest.mark.parametrize("halving", ["false", "true"])
def test_on_kubeflow_too(halving: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tmp_path / "pipeline.yaml"
    result = distill(
        *("compile", REPOSITORY / "configs/digits.yaml", "--output", compiled),
        *options(search__halving=halving),
    )
    assert result.returncode == 0, result.stderr

    with orchestrating(monkeypatch) as launcher:
        launcher.run(compiled, push_directory=str(launcher.mounts / "pushed"))

        assert_one_was_left(launcher.evaluation())
