"""The one pass of TensorFlow Model Analysis over the test split, for all models at once."""

import base64
import hashlib
import io
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.evaluators import evaluator
from tensorflow_model_analysis.extractors import extractor, predictions_extractor, slice_key_extractor
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer, writer
from tfx_bsl.public import tfxio

from components.evaluator.measure.outcomes import table_schema, to_table
from components.evaluator.measure.tally import LOGITS, NAMES, predicted_classes
from components.files import write_json
from components.layout import DISAGREEMENTS_FILE, OUTCOMES_FILE

SIGNATURE = "transformed"
LABEL = "label"
# A slice of its own making: by the geometric mean of height and width, in powers of two.
IMAGE_SIZE = "image_size"

# Large enough to keep the cost of a call small, small enough for a convolution over 224x224 images.
BATCH_SIZE = 64

# How many test images on which the models differ are kept to be shown.
MAX_DISAGREEMENTS = 24

_OUTCOMES = "outcomes"
_DISAGREEMENTS = "disagreements"

Slice = tuple[str, str]


def analyse(
    pipeline: beam.Pipeline,
    *,
    examples: str,
    models: Mapping[str, str],
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
    the directory holds TFMA's metrics, to be read with `tfma.load_eval_result(output, model_name=...)`,
    `outcomes.parquet` and `disagreements.json`.

    Args:
      pipeline: The Beam pipeline.
      examples: File pattern of TFRecords of `tf.Example`, with `image` (packed pixels), `label`, `id` and
        the slice features.
      models: Directory of the SavedModel by name. Its signature `transformed` takes `image`.
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
    source = tfxio.TFExampleRecord(
        file_pattern=examples,
        schema=_examples_schema(slice_features),
        raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        telemetry_descriptors=["Evaluator"],
    )
    shared_models = [
        tfma.default_eval_shared_model(path, model_name=name, eval_config=config)
        for name, path in models.items()
    ]
    tensors = tfxio.TensorAdapterConfig(
        arrow_schema=source.ArrowSchema(), tensor_representations=source.TensorRepresentations()
    )
    observe = evaluator.Evaluator(
        stage_name="Observe",
        run_after=_SIZE_STAGE,
        ptransform=_Observe(names, teacher, class_names, image_shape, slices),
    )
    _ = (
        pipeline
        | "Read" >> source.BeamSource(batch_size=BATCH_SIZE)
        | "Evaluate"
        >> tfma.ExtractEvaluateAndWriteResults(
            eval_config=config,
            eval_shared_model=shared_models,
            extractors=_extractors(config, shared_models=shared_models, tensors=tensors, slices=slices),
            evaluators=[
                *tfma.default_evaluators(eval_config=config, eval_shared_model=shared_models),
                observe,
            ],
            writers=_writers(config, shared_models=shared_models, slices=slices, output=output),
        )
    )


def read_metrics(output: str, *, model: str) -> dict[Slice | None, dict[str, float]]:
    """Reads what `analyse` has measured of a model.

    Args:
      output: Directory of the results.
      model: Name of the model.

    Returns:
      The metrics by slice: a feature and its value as text, or None for all examples. A label is its number;
      its AUC is that of its class against the rest of all examples.
    """
    found: dict[Slice | None, dict[str, float]] = {}
    areas: dict[int, float] = {}
    for key, outputs in tfma.load_eval_result(output, model_name=model).slicing_metrics:
        metrics = {name: _number(outputs[""][""][name]) for name in NAMES}
        if key:
            ((feature, value),) = key
            found[feature, _text(value)] = metrics
        else:
            found[None] = metrics
            areas = {
                int(sub_key.removeprefix("classId:")): _number(metrics["auc"])
                for sub_key, metrics in outputs[""].items()
                if sub_key
            }
    for key, metrics in found.items():
        if key and key[0] == LABEL:
            metrics["auc"] = areas.get(int(key[1]), math.nan)
    return found


def _number(value: Mapping[str, float]) -> float:
    return float(value.get("doubleValue", math.nan))


def _eval_config(
    *, names: list[str], teacher: str, baseline: str, slices: Sequence[str]
) -> config_pb2.EvalConfig:
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
    config: config_pb2.EvalConfig,
    *,
    shared_models: list[Any],
    tensors: tfxio.TensorAdapterConfig,
    slices: Sequence[str],
) -> list[extractor.Extractor]:
    """TFMA's own as far as the predictions, and then one that keeps together what TFMA would take apart.

    TFMA makes an element of each example in each of its slices, which costs more than the models do. Here an
    element is all examples of a batch that are in a slice.
    """
    extractors = []
    for each in tfma.default_extractors(
        eval_config=config, eval_shared_model=shared_models, tensor_adapter_config=tensors
    ):
        extractors.append(each)
        if each.stage_name == predictions_extractor.PREDICTIONS_EXTRACTOR_STAGE_NAME:
            break
    names = [spec.name for spec in config.model_specs]
    by_slice = beam.FlatMap(_by_slice, models=names, slices=list(slices))
    return [
        *extractors,
        extractor.Extractor(_SIZE_STAGE, beam.Map(_add_image_size)),
        extractor.Extractor(slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME, by_slice),
    ]


_SIZE_STAGE = "AddImageSize"


def _add_image_size(extracts: dict[str, Any]) -> dict[str, Any]:
    features = extracts[tfma.FEATURES_KEY]
    if "height" not in features or "width" not in features:
        return extracts
    sizes = np.array([image_size(h, w) for h, w in zip(features["height"], features["width"], strict=True)])
    return extracts | {tfma.FEATURES_KEY: features | {IMAGE_SIZE: sizes}}


def image_size(height: int, width: int) -> str:
    """Returns the range of powers of two in which the geometric mean of two lengths lies, in pixels."""
    exponent = int(np.log2(max(1.0, float(height) * float(width)))) // 2
    return f"{2**exponent}-{2 ** (exponent + 1) - 1}"


def _by_slice(extracts: dict[str, Any], *, models: list[str], slices: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the labels and logits of a batch as a whole, and of its examples in each slice."""
    features = extracts[tfma.FEATURES_KEY]
    labels = np.ravel(features[LABEL]).astype(np.int64)
    logits = np.stack([_logits(extracts, model) for model in models])
    for key, rows in _rows_by_slice(features, [LABEL, *slices], size=len(labels)):
        yield {
            tfma.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array([key]),
            tfma.LABELS_KEY: labels[rows],
            tfma.PREDICTIONS_KEY: logits[:, rows],
        }


def _rows_by_slice(
    features: Mapping[str, Any], names: list[str], *, size: int
) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """Yields the key and the rows of each slice of a batch."""
    yield (), np.arange(size)
    for name in names:
        values = np.array([_scalar(value) for value in features[name]])
        for value in np.unique(values):
            yield ((name, value.item()),), np.flatnonzero(values == value)


def _logits(extracts: Mapping[str, Any], model: str) -> np.ndarray:
    return extracts[tfma.PREDICTIONS_KEY][model][LOGITS]


class _Observe(beam.PTransform):
    """Notes what each model says of each example, and keeps some images on which they differ."""

    def __init__(
        self,
        models: Sequence[str],
        teacher: str,
        class_names: Sequence[str],
        image_shape: tuple[int, int, int],
        slices: Sequence[str],
    ) -> None:
        super().__init__()
        self._models, self._teacher, self._slices = list(models), teacher, list(slices)
        self._class_names, self._image_shape = list(class_names), image_shape

    def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
        """Returns tables of outcomes, and one object with disagreements."""
        tables = extracts | "Outcomes" >> beam.Map(_outcomes, models=self._models, slices=self._slices)
        images = (
            extracts
            | "Disagree" >> beam.FlatMap(_disagreements, models=self._models, teacher=self._teacher)
            | "Sample" >> beam.combiners.Top.Smallest(MAX_DISAGREEMENTS, key=_rank)
            | "Describe"
            >> beam.Map(_describe_all, class_names=self._class_names, image_shape=self._image_shape)
        )
        return {_OUTCOMES: tables, _DISAGREEMENTS: images}


def _outcomes(extracts: dict[str, Any], *, models: list[str], slices: list[str]) -> Any:
    features = extracts[tfma.FEATURES_KEY]
    return to_table(
        ids=features["id"],
        labels=np.ravel(features[LABEL]).astype(np.int64),
        features={name: [_text(value) for value in features[name]] for name in slices},
        logits={name: _logits(extracts, name) for name in models},
    )


def _disagreements(
    extracts: dict[str, Any], *, models: list[str], teacher: str
) -> Iterator[tuple[bytes, int, dict[str, np.ndarray], bytes]]:
    """Yields id, label, logits by model, and pixels, where a model differs from the teacher."""
    features = extracts[tfma.FEATURES_KEY]
    classes = {name: predicted_classes(_logits(extracts, name)) for name in models}
    differs = np.any([classes[name] != classes[teacher] for name in models], axis=0)
    for row in np.flatnonzero(differs):
        logits = {name: _logits(extracts, name)[row] for name in models}
        yield features["id"][row], int(np.ravel(features[LABEL])[row]), logits, features["image"][row]


def _rank(disagreement: tuple[bytes, int, dict[str, np.ndarray], bytes]) -> bytes:
    """Ranks as good as at random, and the same in every run."""
    return hashlib.sha256(disagreement[0]).digest()


def _describe_all(
    disagreements: list[Any], *, class_names: list[str], image_shape: tuple[int, int, int]
) -> dict[str, Any]:
    return {
        "images": [
            {
                "id": example_id.decode(errors="replace"),
                "label": class_names[label],
                "predictions": {
                    name: _describe_prediction(each, class_names) for name, each in logits.items()
                },
                "image": _data_url(pixels, image_shape),
            }
            for example_id, label, logits, pixels in disagreements
        ]
    }


def _describe_prediction(logits: np.ndarray, class_names: list[str]) -> dict[str, Any]:
    if not np.isfinite(logits).all():
        return {"class": None, "probability": None}
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return {
        "class": class_names[int(np.argmax(logits))],
        "probability": float(weights.max() / weights.sum()),
    }


def _data_url(pixels: bytes, image_shape: tuple[int, int, int]) -> str:
    array = np.frombuffer(pixels, np.uint8).reshape(image_shape)
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if image_shape[2] == 1 else array).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


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
    write_outcomes = beam.io.WriteToParquetBatched(
        f"{output}/{OUTCOMES_FILE}",
        table_schema(models=names, features=slices),
        shard_name_template="",
        num_shards=1,
    )
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
    write_json(pathlib.Path(path), content)


def _text(value: Any) -> str:
    """Writes the value of a feature as text."""
    return str(_scalar(value))


def _scalar(value: Any) -> Any:
    """Returns the value of a feature, as text if it is bytes."""
    scalar = np.ravel(value)[0] if isinstance(value, np.ndarray) else value
    return scalar.decode(errors="replace") if isinstance(scalar, bytes) else scalar
