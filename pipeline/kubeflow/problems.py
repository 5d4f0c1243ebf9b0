"""Says whose fault it is when a node cannot use settings that were good when the pipeline was compiled."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_LOOKS_AT = "configuration."
_IMAGES = "kubeflow.image and kubeflow.gpu_image"


def set_by_run(run_parameters: Iterable[str], values: Mapping[str, Any]) -> dict[str, str]:
    """Returns the names of the parameters that a run has set, by the path of what each sets.

    Args:
      run_parameters: `PATH=NAME` for each that the node takes.
      values: What was given by these names; an empty text sets nothing.
    """
    names = dict(each.split("=") for each in run_parameters)
    return {path: name for path, name in names.items() if values.get(name, "") != ""}


def describe_problems(
    problems: Iterable[str], *, parameters: Mapping[str, str], compiled: Collection[str] | None = None
) -> str:
    """Puts problems into one sentence, with the way out of the first kind that is found.

    Args:
      problems: As `explain` returns them.
      parameters: See `set_by_run`.
      compiled: The problems that there are without the parameters; None if that is not known, and then what
        lies at other keys than theirs is no fault of theirs.
    """
    problems = list(problems)
    names = {problem: _find_parameter(_key(problem), parameters) for problem in problems}
    of_parameters = [
        f"{name}: {problem.partition(': ')[2]}"
        for problem, name in names.items()
        if name and problem not in (compiled or ())
    ]
    if of_parameters:
        listed = "; ".join(of_parameters)
        return f"A parameter of the run cannot be used: {listed}; correct it and run again."
    listed = "; ".join(problems)
    if compiled is not None and not compiled:
        return (
            f"The parameters of the run do not go with the configuration: {listed}; "
            "correct them and run again."
        )
    if any(_key(problem).rpartition(".")[2] == "architecture" for problem in problems):
        way_out = f"both {_IMAGES} need its module"
    else:
        way_out = f"build {_IMAGES} from the version that compiles it"
    return f"The image of this node cannot use the configuration: {listed}; {way_out}."


def _key(problem: str) -> str:
    return problem.partition(": ")[0]


def _find_parameter(key: str, parameters: Mapping[str, str]) -> str | None:
    """Returns the name of the parameter that has set a key, if one has."""
    # Look knows several keys of one name, by the whole way to each.
    if any(path.startswith(_LOOKS_AT) for path in parameters):
        return parameters.get(_LOOKS_AT + key)
    alike = [path for path in parameters if path.rpartition(".")[2] == key.rpartition(".")[2]]
    exact = [path for path in alike if path.endswith(f".{key}")]
    return parameters[(exact or alike)[0]] if alike else None
