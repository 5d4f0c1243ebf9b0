import json
import pathlib
import re
import signal
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parents[3]
DIGITS = str(REPOSITORY / "configs" / "digits.yaml")
DISTILL = pathlib.Path(sys.executable).with_name("distill")
HEAVY = (
    "tensorflow",
    "tfx",
    "keras",
    "apache_beam",
    "ml_metadata",
    "sklearn",
    "matplotlib",
    "kfp",
    "kubernetes",
)

# Calls the command line in forks of a process that has imported it, and tells what each has imported then.
ANSWERING = """
import json, os, sys
from pipeline.cli.main import main

for line in sys.stdin:
    if os.fork():
        os.wait()
        continue
    told, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.argv = ["distill", *json.loads(line)]
    try:
        main()
    finally:
        imported = sorted({name.partition(".")[0] for name in sys.modules})
        os.write(told, (json.dumps(imported) + "\\n").encode())
        os._exit(0)
"""


@pytest.fixture(scope="module")
def imported():
    """A function that calls the command line, and returns which packages it has imported to answer."""
    command = [sys.executable, "-c", ANSWERING]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:

        def ask(*arguments: str) -> set[str]:
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            return set(json.loads(process.stdout.readline()))

        yield ask


def start(*arguments: str, directory: pathlib.Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Runs the program in a process of its own."""
    return subprocess.run(
        [str(DISTILL), *arguments], capture_output=True, text=True, cwd=directory, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["init"],
        ["run"],
        ["compile"],
        ["predict"],
        ["report"],
        ["compare"],
        ["retrain"],
        ["prune"],
        ["history"],
        ["rollback"],
        ["promote"],
        ["upload"],
        ["submit"],
        ["schedule"],
        ["schedules"],
        ["unschedule"],
    ],
)
def test_help(command, distill):
    finished = distill(*command, "--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"Usage: {' '.join(['distill', *command])}" in finished.stdout


def test_version_is_the_package_s():
    (version,) = re.findall('^version = "(.*)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    finished = start("--version")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"distill {version}\n", "")


def test_no_command_prints_the_help(distill):
    finished = distill()
    assert finished.returncode == 2
    assert "Usage: distill" in finished.stdout + finished.stderr


def test_module_is_the_same_command():
    finished = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], capture_output=True, text=True, check=False
    )
    assert finished.stdout == start("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["init", "--help"],
        ["run", "--help"],
        ["compile", "--help"],
        ["predict", "--help"],
        ["report", "--help"],
        ["report", "--workspace", "missing"],
        ["compare", "--help"],
        ["compare", "missing"],
        ["history", "--workspace", "missing"],
        ["run", DIGITS, "--set", "teacher.epochs=0"],
        ["run", DIGITS, "--workspace", "/proc/workspace"],
        ["retrain", DIGITS, "--dry-run", "--workspace", "missing"],
        ["retrain", DIGITS, "--workspace", "/proc/workspace"],
        ["predict", "missing", "image.png"],
        ["submit", DIGITS, "--host", "http://localhost", "--param", "epoch=3"],
        ["schedule", DIGITS, "--host", "http://localhost", "--cron", "0 3 30 2 *"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_to_answer(arguments, imported):
    packages = imported(*arguments)
    assert "rich" in packages
    assert not packages & set(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see distill --help"),
        (["init"], "Missing argument 'PATH'; see distill init --help"),
        (["init", "README.mdd"], "README.mdd does not exist; did you mean 'README.md'?"),
        (["init", "configs", "--output", "README.md"], "README.md is there already"),
        (["init", "configs", "--output", "missing/mine.yaml"], "--output missing/mine.yaml"),
        (["run"], "Missing argument 'CONFIG'; see distill run --help"),
        (["run", DIGITS, "--nope"], "No such option: --nope; see distill run --help"),
        (["run", DIGITS, "--orchestrator", "kubeflow"], "is not one of 'local', 'beam'"),
        (["run", "missing.yaml"], "missing.yaml: no such file"),
        (["run", "configs"], "configs: cannot be read as a text file"),
        (["run", DIGITS, "--set", "seed"], "expected KEY=VALUE"),
        (["run", DIGITS, "--set", "distillations.0.temperature=0"], "distillations.0.temperature: got 0"),
        (["run", DIGITS, "--set", "data={source: image_folder, path: nowhere}"], "nowhere"),
        (["run", DIGITS, "--workspace", "README.md"], "README.md cannot be written (it is a file)"),
        (["run", DIGITS, "--workspace", "/proc/workspace"], "/proc/workspace cannot be written"),
        (["compile", DIGITS], "Missing option '--output'; see distill compile --help"),
        (["compile", DIGITS, "--output", "missing/pipeline.yaml"], "--output missing/pipeline.yaml"),
        (["compile", DIGITS, "--output", "configs"], "--output configs"),
        (["predict", "configs"], "Missing argument 'IMAGE'"),
        (["predict", "missing", "image.png"], "missing is no directory"),
        (["report", "--workspace", "configs"], "configs holds no summary.json"),
        (["compare"], "Missing argument 'WORKSPACE'; see distill compare --help"),
        (["compare", "configs"], "configs holds no summary.json"),
        (["rollback", "--workspace", "configs"], "configs holds no summary.json"),
        (["promote", "17"], "Missing option '--reason'; see distill promote --help"),
        (["promote", "17", "--reason", " "], "--reason: is empty; say why"),
    ],
)
def test_usage_error_is_one_line_and_exits_with_2(arguments, message, distill):
    finished = distill(*arguments)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("distill: ")
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_architecture_is_found_beside_the_user(tmp_path):
    """Even next to a folder that is called as one of this project's own."""
    (tmp_path / "mine.py").write_text("def student(image_shape, num_classes): ...\n")
    (tmp_path / "pipeline.py").write_text("raise RuntimeError\n")
    found = ["--set", "student.architecture=mine:student", "--workspace", "/proc/workspace"]
    assert "/proc/workspace cannot be written" in start("run", DIGITS, *found, directory=tmp_path).stderr
    missing = ["--set", "student.architecture=mine:teacher"]
    assert "'mine' does not define" in start("run", DIGITS, *missing, directory=tmp_path).stderr


def test_workspace_in_use_is_refused_and_an_interrupted_run_says_how_to_go_on(tmp_path, distill):
    command = [str(DISTILL), "run", DIGITS, "--workspace", str(tmp_path)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with run:
        assert run.stdout.readline().startswith("Starting TFX")
        second = distill(*command[1:])
        assert second.returncode == 2
        assert f"Another run is using the workspace {tmp_path}" in second.stderr
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert errors == (
        "distill: interrupted; run the same command again to go on from the nodes that finished\n"
    )
