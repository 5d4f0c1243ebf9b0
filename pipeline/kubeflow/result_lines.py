"""How a run's result gets from Evaluator or Look to who follows the run: by marked lines of its log."""

RESULT_MARK = "[result] "


def find_result(log: str) -> list[str]:
    """Returns the lines of a log that are the result, without their mark."""
    lines = (line for line in log.splitlines() if line.startswith(RESULT_MARK.rstrip()))
    return [line.removeprefix(RESULT_MARK.rstrip()).removeprefix(" ") for line in lines]
