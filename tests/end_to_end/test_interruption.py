import pathlib
import subprocess
import sys

from command_line import QUICK_DIGITS, REPOSITORY, run, states


def test_an_interrupted_run_leaves_nothing_to_be_trusted(tmp_path: pathlib.Path) -> None:
    """Kills a run in the middle of a node; the next run must do that node again."""
    interrupt_during("Teacher", tmp_path)

    summary, _ = run("digits.yaml", tmp_path, *QUICK_DIGITS)

    assert states(summary)["Transform"] == "cached"
    assert states(summary)["Teacher"] == "completed"
    assert summary["models"]["teacher"]["accuracy"] > 0.9


def interrupt_during(node: str, workspace: pathlib.Path) -> None:
    command = [sys.executable, "-m", "pipeline", "run", "configs/digits.yaml", "--workspace", str(workspace)]
    process = subprocess.Popen([*command, *QUICK_DIGITS], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    for line in process.stdout or ():
        if line.startswith(f"{node}: running"):
            break
    process.send_signal(2)
    assert process.wait(timeout=60) == 1
