"""What the whole pipeline costs, raw data to report, against the labs as one script each.

    .venv/bin/python -m benchmarks.whole mnist_three_losses cats_vs_dogs --data-dir DIR [--images N]

`--data-dir` holds MNIST and cats_vs_dogs in TFDS's format. Both sides start from nothing in a process of
their own, train the lab's models for the lab's epochs on the same images and evaluate them on the test split;
the pipeline trains its scratch student too, and writes everything that `distill run` writes. `--images` takes
only so many of the photographs, on both sides.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

from benchmarks.table import Row, ratios, report

ROOT = pathlib.Path(__file__).parent.parent
BOUNDS = {"mnist_three_losses": 0.70, "cats_vs_dogs": 0.50}


def main() -> None:
    """Measures, prints a table for each experiment and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+", choices=BOUNDS)
    parser.add_argument("--data-dir", required=True, help="Where TFDS's data is prepared already.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--images", type=int, default=12_000, help="Of cats_vs_dogs, for all splits.")
    arguments = parser.parse_args()
    command_line = shlex.join(["python", "-m", "benchmarks.whole", *sys.argv[1:]])
    for name in arguments.experiments:
        splits = lab1_splits(arguments.images) if name == "cats_vs_dogs" else ["train[:90%]", "test"]
        seconds: dict[str, list[float]] = {"pipeline": [], "lab": []}
        for _ in range(arguments.rounds):
            seconds["pipeline"].append(time_pipeline(name, splits, data_dir=arguments.data_dir))
            seconds["lab"].append(time_lab(name, splits, data_dir=arguments.data_dir))
        row = Row(
            name=f"the whole pipeline on {name} / the lab as one script",
            ratios=ratios(seconds["pipeline"], seconds["lab"]),
            bound=BOUNDS[name],
        )
        report(f"whole_{name}", [row], measured=seconds, command=command_line)


def lab1_splits(images: int) -> list[str]:
    """Returns the lab's 80, 10 and 10 percent of so many images."""
    most, less = images * 8 // 10, images * 9 // 10
    return [f"train[:{most}]", f"train[{most}:{less}]", f"train[{less}:{images}]"]


def time_pipeline(name: str, splits: list[str], *, data_dir: str) -> float:
    """Runs `distill run` in an empty workspace; returns the seconds."""
    with tempfile.TemporaryDirectory() as workspace:
        command = ["pipeline", "run", str(ROOT / f"configs/{name}.yaml"), "--workspace", workspace, "--quiet"]
        settings = {"data.data_dir": data_dir}
        if name == "cats_vs_dogs":
            keys = ("train", "validation", "test")
            settings |= {f"data.splits.{key}": f"'{split}'" for key, split in zip(keys, splits, strict=True)}
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        return _time(command)


def time_lab(name: str, splits: list[str], *, data_dir: str) -> float:
    """Runs a lab; returns the seconds."""
    module = {"mnist_three_losses": "lab2", "cats_vs_dogs": "lab1"}[name]
    return _time([f"benchmarks.{module}", data_dir, *splits])


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    print(f"{command[0]}: {seconds:.0f} s", flush=True)
    return seconds


if __name__ == "__main__":
    main()
