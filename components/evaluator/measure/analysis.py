"""The one pass of TensorFlow Model Analysis over the test split, for all models at once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api.types import EvalSharedModel
from tensorflow_model_analysis.evaluators import evaluator
from tensorflow_model_analysis.extractors import extractor, features_extractor, slice_key_extractor
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer, writer
from tfx_bsl.public import tfxio

from components.evaluator.measure.disagreements import KeepDisagreements
from components.evaluator.measure.outcomes import table_schema, to_table
from components.evaluator.measure.predictions import Predict, Stored, logits_of
from components.evaluator.measure.slices import LABEL, add_image_size, rows_by_slice, to_text
from components.evaluator.measure.tally import HAVE_ONE_LABEL
from components.layout import DISAGREEMENTS_FILE, OUTCOMES_DIRECTORY, REFERENCE_OUTCOMES_DIRECTORY
from components.serving.servable import Servable
from components.storage.files import write_json

# Large enough to keep the cost of a call small, small enough for a convolution over 224x224 images.
BATCH_SIZE = 64

_SIZE_STAGE = "AddImageSize"
_OUTCOMES = "outcomes"
_DISAGREEMENTS = "disagreements"


def analyse(
    pipeline: beam.Pipeline,
    *,
    examples: str,
    reference: str | None = None,
    models: Mapping[str, Servable | Stored],
    teacher: str,
    baseline: str,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    slice_features: Sequence[schema_pb2.Feature] = (),
    slices: Sequence[str] = (),
    output: str,
) -> None:
    """Adds the evaluation of several models to a Beam pipeline.

    Each batch of examples is read and parsed once and goes through every model. Once the pipeline has run,
    the directory holds TFMA's metrics, to be read with `components.evaluator.measure.results` or with
    `tfma.load_eval_result(output, model_name=...)`, `outcomes` and `disagreements.json`; and
    `reference_outcomes` if there are reference images.

    Args:
      pipeline: The Beam pipeline.
      examples: File pattern of TFRecords of `tf.Example`, with `image` (packed pixels), `label`, `id` and
        the slice features.
      reference: Likewise of the reference images; None where there are none.
      models: The models by name.
      teacher: Name of the model whose predictions the others are compared with.
      baseline: Name of the model whose metrics the others' are compared with.
      class_names: In the order of the labels.
      image_shape: `(height, width, channels)` of the packed pixels.
      slice_features: The features that slices are made of; `height` and `width` for `image_size`.
      slices: Names of features, or `image_size`: the metrics are computed for each of their values too.
      output: Directory for the results.
    """
    names = list(models)
    config = _eval_config(names=names, teacher=teacher, baseline=baseline, slices=slices)
    source = _source(examples, slice_features=slice_features)
    predict = Predict(models)
    # To TFMA these are names, of which one is the baseline's: it neither loads nor calls a model.
    shared_models = [
        EvalSharedModel(model_path=model.uri, model_name=name, model_type=constants.TF_GENERIC)
        for name, model in models.items()
    ]
    observe = _Observe(
        KeepDisagreements(models=names, teacher=teacher, class_names=class_names, image_shape=image_shape),
        models=names,
        slices=slices,
    )
    _ = (
        pipeline
        | "Read" >> source.BeamSource(batch_size=BATCH_SIZE)
        | "Evaluate"
        >> tfma.ExtractEvaluateAndWriteResults(
            eval_config=config,
            eval_shared_model=shared_models,
            extractors=[
                features_extractor.FeaturesExtractor(config, source.TensorRepresentations()),
                *_extractors(predict, models=names, slices=slices),
            ],
            evaluators=[
                *tfma.default_evaluators(eval_config=config, eval_shared_model=shared_models),
                evaluator.Evaluator(stage_name="Observe", run_after=_SIZE_STAGE, ptransform=observe),
            ],
            writers=_writers(config, shared_models=shared_models, slices=slices, output=output),
        )
    )
    if reference is not None:
        _ = pipeline | "Reference" >> _observe_reference(
            reference, predict=predict, config=config, models=names, output=output
        )


def _source(examples: str, *, slice_features: Sequence[schema_pb2.Feature] = ()) -> tfxio.TFExampleRecord:
    return tfxio.TFExampleRecord(
        file_pattern=examples,
        schema=_examples_schema(slice_features),
        raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        telemetry_descriptors=["Evaluator"],
    )


@beam.ptransform_fn
def _observe_reference(
    pipeline: beam.Pipeline,
    examples: str,
    *,
    predict: Predict,
    config: config_pb2.EvalConfig,
    models: Sequence[str],
    output: str,
) -> beam.PCollection:
    """Notes what each model says of each reference image."""
    source = _source(examples)
    features = features_extractor.FeaturesExtractor(config, source.TensorRepresentations())
    return (
        pipeline
        | "Read" >> source.BeamSource(batch_size=BATCH_SIZE)
        | "Extracts" >> tfma.BatchedInputsToExtracts()
        | "Features" >> features.ptransform
        | "Predict" >> beam.ParDo(predict)
        | "Outcomes" >> beam.Map(_outcomes, models=list(models), slices=[])
        | "Write" >> _write_outcomes(f"{output}/{REFERENCE_OUTCOMES_DIRECTORY}", models=models, slices=())
    )


def _write_outcomes(directory: str, *, models: Sequence[str], slices: Sequence[str]) -> beam.PTransform:
    """Writes a file for each part of the work, so that nobody has to hold all of them."""
    schema = table_schema(models=models, features=slices)
    return beam.io.WriteToParquetBatched(f"{directory}/part", schema, file_name_suffix=".parquet")


def _eval_config(
    *, names: list[str], teacher: str, baseline: str, slices: Sequence[str]
) -> config_pb2.EvalConfig:
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                name=name,
                model_type=constants.TF_GENERIC,
                label_key=LABEL,
                is_baseline=name == baseline,
            )
            for name in names
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                model_names=names,
                metrics=[
                    config_pb2.MetricConfig(
                        class_name="Classification",
                        module="components.evaluator.measure.tally",
                        config=json.dumps({"teacher": teacher}),
                    )
                ],
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[feature]) for feature in (LABEL, *slices)),
        ],
    )


def _examples_schema(slice_features: Sequence[schema_pb2.Feature]) -> schema_pb2.Schema:
    """Describes what the evaluation needs of an example."""
    schema = schema_pb2.Schema()
    for name, kind in (("image", schema_pb2.BYTES), (LABEL, schema_pb2.INT), ("id", schema_pb2.BYTES)):
        feature = schema.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1
        feature.shape.SetInParent()
    schema.feature.extend(slice_features)
    return schema


def _extractors(
    predict: Predict, *, models: Sequence[str], slices: Sequence[str]
) -> list[extractor.Extractor]:
    """Predicts, and keeps together what TFMA's own extractors would take apart.

    TFMA makes an element of each example in each of its slices, which costs more than the models do. Here an
    element is all examples of a batch that are in a slice.
    """
    by_slice = beam.FlatMap(_by_slice, models=list(models), slices=list(slices))
    return [
        extractor.Extractor("Predict", beam.ParDo(predict)),
        extractor.Extractor(_SIZE_STAGE, beam.Map(_add_image_size)),
        extractor.Extractor(slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME, by_slice),
    ]


def _add_image_size(extracts: dict[str, Any]) -> dict[str, Any]:
    return extracts | {tfma.FEATURES_KEY: add_image_size(extracts[tfma.FEATURES_KEY])}


def _by_slice(extracts: dict[str, Any], *, models: list[str], slices: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the labels and logits of a batch as a whole, and of its examples in each slice."""
    features = extracts[tfma.FEATURES_KEY]
    labels = np.ravel(features[LABEL]).astype(np.int64)
    logits = np.stack([logits_of(extracts, model) for model in models])
    for key, rows in rows_by_slice(features, [LABEL, *slices], size=len(labels)):
        yield {
            tfma.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array([key]),
            tfma.LABELS_KEY: labels[rows],
            tfma.PREDICTIONS_KEY: logits[:, rows],
            HAVE_ONE_LABEL: LABEL in dict(key),
        }


class _Observe(beam.PTransform):
    """Notes what each model says of each example, and keeps some images on which they differ."""

    def __init__(self, keep: KeepDisagreements, *, models: Sequence[str], slices: Sequence[str]) -> None:
        super().__init__()
        self._keep, self._models, self._slices = keep, list(models), list(slices)

    def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
        """Returns tables of outcomes, and one object with disagreements."""
        tables = extracts | "Outcomes" >> beam.Map(_outcomes, models=self._models, slices=self._slices)
        return {_OUTCOMES: tables, _DISAGREEMENTS: extracts | "Disagreements" >> self._keep}


def _outcomes(extracts: dict[str, Any], *, models: list[str], slices: list[str]) -> Any:
    features = extracts[tfma.FEATURES_KEY]
    return to_table(
        ids=features["id"],
        labels=np.ravel(features[LABEL]).astype(np.int64),
        features={name: [to_text(value) for value in features[name]] for name in slices},
        logits={name: logits_of(extracts, name) for name in models},
    )


def _writers(
    config: config_pb2.EvalConfig, *, shared_models: list[Any], slices: Sequence[str], output: str
) -> list[writer.Writer]:
    """TFMA's own, but for the validation, which is the verdict's; and ours."""
    config_writer, _ = tfma.default_writers(
        output_path=output, eval_config=config, eval_shared_model=shared_models
    )
    names = [spec.name for spec in config.model_specs]
    keys = (tfma.METRICS_KEY, tfma.PLOTS_KEY, tfma.ATTRIBUTIONS_KEY)
    metrics_writer = metrics_plots_and_validations_writer.MetricsPlotsAndValidationsWriter(
        output_paths={key: f"{output}/{key}" for key in keys}, eval_config=config
    )
    write_outcomes = _write_outcomes(f"{output}/{OUTCOMES_DIRECTORY}", models=names, slices=slices)
    write_disagreements = beam.Map(_write_json, path=f"{output}/{DISAGREEMENTS_FILE}")
    return [
        config_writer,
        metrics_writer,
        writer.Writer("WriteOutcomes", writer.Write(key=_OUTCOMES, ptransform="Outcomes" >> write_outcomes)),
        writer.Writer(
            "WriteDisagreements",
            writer.Write(key=_DISAGREEMENTS, ptransform="Disagreements" >> write_disagreements),
        ),
    ]


def _write_json(content: dict[str, Any], *, path: str) -> None:
    write_json(path, content)
