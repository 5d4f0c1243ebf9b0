"""What it takes to look through a folder of images, here or in an object store.

    .venv/bin/python -m benchmarks.listing s3://bucket/photos

Prints seconds, those of this machine's processor, and the peak of resident memory, of what `distill run` does
before the first node: the check and the fingerprint, beside the listing alone, each in a process of its own.
"""

import argparse
import subprocess
import sys
import time

from benchmarks.peak import peak_kib
from components.example_gen.registry import open_source
from components.example_gen.sources.image_folder import ImageFolderData
from components.storage import files

STEPS = ("nothing", "list", "check", "fingerprint")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="A path or URI.")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        started = time.perf_counter()
        take(arguments.step, folder=arguments.folder)
        seconds, processor = time.perf_counter() - started, time.process_time()
        print(f"{arguments.step:12} {seconds:8.1f} {processor:12.1f} {peak_kib() / 1024:8,.0f}")
        return
    print(f"{'step':12} {'s':>8} {'processor s':>12} {'MiB':>8}", flush=True)
    for step in STEPS:
        command = [sys.executable, "-m", "benchmarks.listing", arguments.folder, "--step", step]
        subprocess.run(command, check=True)


def take(step: str, *, folder: str) -> None:
    """Takes one step, with all that it needs."""
    source = open_source(ImageFolderData(source="image_folder", path=folder))
    if step == "list":
        print(f"{sum(1 for _ in files.files_below(folder)):,} files")
    elif step == "check":
        source.check()
    elif step == "fingerprint":
        source.fingerprint()


if __name__ == "__main__":
    main()
