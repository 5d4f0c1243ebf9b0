"""Whether the demo's student wins: the experiment of `configs/digits.yaml`, over several seeds.

    .venv/bin/python -m benchmarks.demo --work DIR

The first seed is that of the configuration, the others follow it. All models are tested on the test split,
which chose nothing. An epoch of the distilled student has more steps, on images without labels: scratch is
also trained for as many. The first interval is that of the mean over the seeds, on these very images; the
second is over the images, for each of which the seeds are averaged.

Prints the table and writes it to `benchmarks/results/demo.json`. What has been trained lies in `--work` and
is not trained again.
"""

import argparse
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.bench import Bench, Images, Trained
from benchmarks.examples import load_splits
from benchmarks.outcomes import CONFIDENCE, half_width
from components.evaluator.judge.statistics import compare_means
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import read_json, write_json
from components.layout import UNLABELLED
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/demo.json"

TEACHER, SCRATCH, DISTILLED = "teacher", "scratch", "distilled"
LONGER = "scratch, as many steps"
MODELS = (TEACHER, SCRATCH, LONGER, DISTILLED)


def main() -> None:
    """Trains what is missing, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="How many.")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="Where what is trained is kept.")
    arguments = parser.parse_args()
    config = load_config(ROOT / "configs/digits.yaml")
    images = Images.write(load_splits(config), arguments.work / "examples")
    seeds = range(config.seed, config.seed + arguments.seeds)
    results = summarise([train_all(config, images, seed=seed, work=arguments.work) for seed in seeds])
    counts = {split: len(ids) for split, ids in images.ids.items()}
    about = {"images": counts, "machine": describe_machine(), "versions": describe_versions()}
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, {"seeds": list(seeds), "models": results, **about})
    print_table(results, counts=counts)


def train_all(config: Config, images: Images, *, seed: int, work: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Trains and tests the models of a seed that are not in `work` yet.

    Returns:
      Of each model the validation accuracy of its best epoch, and whether it is right on each test image.
    """
    folder = work / f"seed-{seed}"
    bench = Bench(config, images, seed=seed, folder=folder)
    results = {}
    for name in MODELS:
        file = folder / name / "result.json"
        if not file.exists():
            trained = _train(name, bench, config, images)
            correct = list(bench.test(trained).values())
            write_json(file, {"validation_accuracy": trained.validation_accuracy, "correct": correct})
            print(f"seed {seed}: {name}: {np.mean(correct):.2%}", flush=True)
        results[name] = read_json(file)
    return results


def _train(name: str, bench: Bench, config: Config, images: Images) -> Trained:
    if name == TEACHER:
        return bench.train_teacher()
    if name == DISTILLED:
        return bench.distil(name, config.distillations[0].base)
    if name == LONGER:
        labelled, unlabelled = len(images.ids["train"]), len(images.ids[UNLABELLED])
        epochs = round(config.student.epochs * (labelled + unlabelled) / labelled)
        return bench.train(name, config.student.model_copy(update={"epochs": epochs}))
    return bench.train(name, config.student)


def summarise(runs: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Turns the results of each seed into the rows of the table.

    Args:
      runs: What `train_all` returned for each seed.

    Returns:
      Of each model its accuracies, by seed, and their mean; and its lead over scratch, with the interval over
      the seeds and that over the images.
    """
    correct = {name: np.array([run[name]["correct"] for run in runs]) for name in MODELS}
    rows: dict[str, dict[str, Any]] = {}
    for name, right in correct.items():
        accuracies = right.mean(axis=1)
        validation = [run[name]["validation_accuracy"] for run in runs]
        rows[name] = {
            "validation_accuracy": float(np.mean(validation)),
            "accuracies": accuracies.tolist(),
            "accuracy": float(accuracies.mean()),
        }
        if name in (DISTILLED, LONGER):
            leads = accuracies - correct[SCRATCH].mean(axis=1)
            differences = right.mean(axis=0) - correct[SCRATCH].mean(axis=0)
            over_images = compare_means(lambda found=differences: [found], confidence=CONFIDENCE)
            rows[name]["lead"] = {
                "estimate": float(leads.mean()),
                "over_seeds": _interval(leads),
                "over_images": [over_images.low, over_images.high],
            }
    return rows


def _interval(values: np.ndarray) -> list[float] | None:
    """Returns the t-interval of a mean, `[low, high]`; None of one value, which has none."""
    mean, width = float(values.mean()), half_width(values)
    return None if width is None else [mean - width, mean + width]


def print_table(results: Mapping[str, dict[str, Any]], *, counts: Mapping[str, int]) -> None:
    """Prints the results as a Markdown table."""
    print(f"\nImages: {', '.join(f'{count:,} {split}' for split, count in counts.items())}\n")
    print("| model | accuracy | first seed | against scratch, points | over the images |")
    print("|---|---|---|---|---|")
    for name, row in results.items():
        lead = row.get("lead")
        over_seeds = f"{100 * lead['estimate']:+.2f} {_points(lead['over_seeds'])}" if lead else ""
        over_images = _points(lead["over_images"]) if lead else ""
        print(
            f"| {name} | {row['accuracy']:.2%} | {row['accuracies'][0]:.2%} | {over_seeds} | {over_images} |"
        )


def _points(interval: Iterable[float] | None) -> str:
    if interval is None:
        return ""
    low, high = (f"{100 * end:+.2f}" for end in interval)
    return f"[{low}, {high}]"


if __name__ == "__main__":
    main()
