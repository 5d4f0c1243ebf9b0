"""The one pass of TensorFlow Model Analysis over the test split, for all models at once."""

import json
from collections.abc import Mapping

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.public import tfxio

from components.evaluator.measures import NOTHING, Quality

ACCURACY = "accuracy"
CROSS_ENTROPY = "cross_entropy"
EXAMPLE_COUNT = "example_count"

SIGNATURE = "transformed"
LABEL = "label"

# Large enough to keep the cost of a call small, small enough for a convolution over 224x224 images.
BATCH_SIZE = 64


def analyse(
    pipeline: beam.Pipeline,
    *,
    examples: str,
    models: Mapping[str, str],
    baseline: str,
    output: str,
) -> None:
    """Adds the evaluation of several models to a Beam pipeline.

    Each batch of examples is read and parsed once and goes through every model. The results can be read
    with `tfma.load_eval_result(output, model_name=...)` once the pipeline has run.

    Args:
      pipeline: The Beam pipeline.
      examples: File pattern of TFRecords of `tf.Example`, with `image` (packed pixels) and `label`.
      models: Directory of the SavedModel by name. Its signature `transformed` takes `image`.
      baseline: Name of the model that the others are compared with.
      output: Directory for the results.
    """
    config = _eval_config(names=list(models), baseline=baseline)
    source = tfxio.TFExampleRecord(
        file_pattern=examples,
        schema=_examples_schema(),
        raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        telemetry_descriptors=["Evaluator"],
    )
    _ = (
        pipeline
        | "Read" >> source.BeamSource(batch_size=BATCH_SIZE)
        | "Evaluate"
        >> tfma.ExtractEvaluateAndWriteResults(
            eval_config=config,
            eval_shared_model=[
                tfma.default_eval_shared_model(path, model_name=name, eval_config=config)
                for name, path in models.items()
            ],
            tensor_adapter_config=tfxio.TensorAdapterConfig(
                arrow_schema=source.ArrowSchema(), tensor_representations=source.TensorRepresentations()
            ),
            output_path=output,
        )
    )


def read_quality(output: str, *, model: str, num_classes: int) -> tuple[Quality, tuple[Quality, ...]]:
    """Reads what `analyse` has measured.

    Args:
      output: Directory of the results.
      model: Name of the model.
      num_classes: Number of classes.

    Returns:
      The quality over all examples, and over the examples of each class, in the order of the labels.
    """
    slices = {
        key: _quality(outputs[""][""])
        for key, outputs in tfma.load_eval_result(output, model_name=model).slicing_metrics
    }
    per_class = tuple(slices.get(((LABEL, label),), NOTHING) for label in range(num_classes))
    return slices.get((), NOTHING), per_class


def _quality(metrics: Mapping[str, Mapping[str, float]]) -> Quality:
    """Reads one slice. TFMA has the accuracy in float32, which two whole numbers make exact again."""
    examples = round(metrics[EXAMPLE_COUNT]["doubleValue"])
    correct = round(metrics[ACCURACY]["doubleValue"] * examples)
    return Quality(
        examples=examples,
        accuracy=correct / examples,
        cross_entropy=float(metrics[CROSS_ENTROPY]["doubleValue"]),
    )


def _eval_config(*, names: list[str], baseline: str) -> config_pb2.EvalConfig:
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                name=name,
                model_type=tfma.constants.TF_GENERIC,
                signature_name=SIGNATURE,
                prediction_key="probabilities",
                label_key=LABEL,
                is_baseline=name == baseline,
            )
            for name in names
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                model_names=names,
                metrics=[
                    config_pb2.MetricConfig(class_name="ExampleCount"),
                    config_pb2.MetricConfig(
                        class_name="SparseCategoricalAccuracy", config=json.dumps({"name": ACCURACY})
                    ),
                    config_pb2.MetricConfig(
                        class_name="CrossEntropy",
                        module="components.evaluator.metrics",
                        config=json.dumps({"name": CROSS_ENTROPY}),
                    ),
                ],
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[LABEL])],
    )


def _examples_schema() -> schema_pb2.Schema:
    """Describes what the evaluation needs of an example: one image and one label."""
    schema = schema_pb2.Schema()
    for name, kind in (("image", schema_pb2.BYTES), (LABEL, schema_pb2.INT)):
        feature = schema.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1
        feature.shape.SetInParent()
    return schema
