"""The `run_fn` of TFX's Trainer."""

import pathlib

from tfx.components.trainer.fn_args_utils import FnArgs

from components.settings.training import TrainingJob
from components.training.adapter import Aim, Artifacts, prepare
from components.training.learner import Supervised


def run_fn(fn_args: FnArgs) -> None:
    """Trains the model of `custom_config["job"]`, the values of a `TrainingJob`, on the labels."""
    job = TrainingJob.model_validate(fn_args.custom_config["job"])
    artifacts = Artifacts(
        training_uri=fn_args.train_files[0],
        validation_uri=fn_args.eval_files[0],
        # TFX sets it if the Trainer is given statistics.
        num_examples=fn_args.num_examples,  # type: ignore[attr-defined]
        schema_file=fn_args.schema_path,
        transform_graph=fn_args.transform_graph_path,
        model_uri=str(pathlib.Path(fn_args.serving_model_dir).parent),
        model_run_uri=fn_args.model_run_dir,
    )
    prepared = prepare(job, artifacts)
    aim = Aim(objective=Supervised(label_smoothing=job.model.label_smoothing))
    if job.keeping is None:
        prepared.train(aim)
    else:
        prepared.train_or_keep(job.keeping, aim)
