"""A teacher in ONNX, which PyTorch, JAX and others write, run by ONNX Runtime on the processor."""

from typing import Any

import keras
import numpy as np
from etils import epy

from components.errors import InputError, first_line
from components.models.outputs import SMALLEST_PROBABILITY, are_probabilities
from components.pretrained.importing import Outputs, adapt, check_outputs
from components.pretrained.model_files import check_onnx

with epy.lazy_imports():  # An optional dependency.
    import onnxruntime

_FLOAT32 = "tensor(float)"
_IMAGES_TRIED = 4


class OnnxModel:
    """An ONNX model, adapted to the images and the logits of this pipeline as a pretrained Keras model is.

    Its batch may be of any size or of a fixed one. Whether it takes its channels first or last follows from
    which axis has 1 or 3 entries.

    Args:
      path: The `.onnx` file.
      outputs: What the model returns.
      pixels: The range of the values that it was trained on; see `components.pretrained.importing.adapt`.
      image_shape: `(height, width, channels)` of the images to come.
      num_classes: Number of classes of the data.

    Raises:
      InputError: The model cannot be loaded, or does not fit.
    """

    def __init__(
        self,
        path: str,
        *,
        outputs: Outputs,
        pixels: str,
        image_shape: tuple[int, int, int],
        num_classes: int,
    ) -> None:
        check_onnx(path)
        self._path, self._pixels, self._outputs = path, pixels, outputs
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # What others have written can fail in any way.
            raise InputError(
                f"The teacher {path} cannot be loaded by ONNX Runtime ({first_line(error)}); export it "
                "again, with its weights beside it."
            ) from error
        images = self._find_images()
        self._input, (self._batch_size, *shape) = images.name, map(_known, images.shape)
        self._channels_first = shape[0] in (1, 3)
        self._shape = (*shape[1:], shape[0]) if self._channels_first else tuple(shape)
        self._output = self._find_output()
        self._check(image_shape=image_shape, num_classes=num_classes)

    def predict(self, images: Any) -> np.ndarray:
        """Returns logits `[batch, num_classes]` of images `[batch, height, width, channels]` in [0, 1]."""
        answers = self._run(images)
        if not np.isfinite(answers).all():
            raise InputError(
                f"The teacher {self._path} returns numbers that are not finite; check what it was exported "
                "from, and teacher.pixels."
            )
        if self._outputs == "probabilities":
            return np.log(np.maximum(answers, SMALLEST_PROBABILITY))
        return answers

    def _find_images(self) -> Any:
        """Returns the description of the one input, which must be a batch of images."""
        inputs = self._session.get_inputs()
        if len(inputs) == 1 and inputs[0].type == _FLOAT32 and _are_images(inputs[0].shape):
            return inputs[0]
        taken = ", ".join(f"{each.name!r} of {each.type} {each.shape}" for each in inputs)
        raise InputError(
            f"The teacher {self._path} takes {taken}, not one batch of float32 images of 1 or 3 channels, "
            "first or last; export one that does."
        )

    def _find_output(self) -> str:
        names = [each.name for each in self._session.get_outputs()]
        name = names[0] if len(names) == 1 else self._outputs
        if name not in names:
            raise InputError(
                f"The teacher {self._path} has the outputs {', '.join(names)}; export it with a single one, "
                f"or with one that is called {self._outputs!r}."
            )
        return name

    def _check(self, *, image_shape: tuple[int, int, int], num_classes: int) -> None:
        images = np.random.default_rng(0).random((_IMAGES_TRIED, *image_shape), dtype=np.float32)
        try:
            answers = self._run(keras.ops.convert_to_tensor(images))
        except InputError:
            raise
        except Exception as error:  # As above.
            raise InputError(
                f"The teacher {self._path} cannot be run on images of {'x'.join(map(str, image_shape))} "
                f"({first_line(error)}); set image to the size that it was exported for."
            ) from error
        if answers.shape != (_IMAGES_TRIED, num_classes):
            raise InputError(
                f"The teacher {self._path} has outputs of shape {answers.shape[1:]} for an image, but the "
                f"data has {num_classes} classes; give a model of the same classes, in the same order."
            )
        check_outputs(
            self._outputs, are_probabilities=bool(are_probabilities(answers).all()), path=self._path
        )

    def _run(self, images: Any) -> np.ndarray:
        adapted = keras.ops.convert_to_numpy(
            adapt(images, shape=self._shape, pixels=self._pixels, path=self._path)
        )
        if self._channels_first:
            adapted = np.ascontiguousarray(adapted.transpose(0, 3, 1, 2))
        size = self._batch_size or len(adapted)
        answers = [self._run_batch(adapted[at : at + size], size) for at in range(0, len(adapted), size)]
        return np.concatenate(answers).astype(np.float32)

    def _run_batch(self, images: np.ndarray, size: int) -> np.ndarray:
        """Runs the model on at most `size` images; for one of a fixed batch the rest is filled up."""
        filled = images if len(images) == size else np.resize(images, (size, *images.shape[1:]))
        (answers,) = self._session.run([self._output], {self._input: filled})
        return answers[: len(images)]


def _known(length: Any) -> int | None:
    """Returns the length of an axis, or None for one of any length, which may have a name."""
    return length if isinstance(length, int) else None


def _are_images(shape: Any) -> bool:
    return len(shape) == 4 and (shape[1] in (1, 3) or shape[3] in (1, 3))
