"""The Teacher and Scratch nodes."""

from tfx.components import Trainer
from tfx.dsl.components.base import executor_spec
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel

from components.settings.training import TrainingJob
from components.training.executor import Executor

RUN_FN = "components.training.run_fn.run_fn"


class SupervisedTrainer(Trainer):
    """TFX's Trainer, whose artifacts may be anywhere."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def supervised_trainer(
    job: TrainingJob,
    *,
    node_id: str,
    examples: BaseChannel,
    transform_graph: BaseChannel,
    schema: BaseChannel,
    statistics: BaseChannel,
) -> Trainer:
    """Makes a TFX Trainer that trains a job's model on the labels.

    Args:
      job: What to train.
      node_id: The node's id in the graph.
      examples: The transformed examples.
      transform_graph: The graph that transformed them.
      schema: The schema, which holds the class names.
      statistics: The statistics, which hold the number of examples.

    Returns:
      The node, with outputs `model` and `model_run`.
    """
    return SupervisedTrainer(
        run_fn=RUN_FN,
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        statistics=statistics,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["validation"]),
        custom_config={"job": job.model_dump(mode="json")},
    ).with_id(node_id)
