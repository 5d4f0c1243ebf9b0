"""Runs the nodes Teacher and Scratch."""

from typing import Any

from tfx.components.trainer import executor
from tfx.types import Artifact

from components.storage.artifacts import on_this_machine


class Executor(executor.GenericExecutor):
    """Calls `run_fn` as TFX does, with paths on this machine."""

    @on_this_machine()
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `model` and the `model_run`.

        Raises:
          InputError: See `components.training.run_fn`.
        """
        super().Do(input_dict, output_dict, exec_properties)
