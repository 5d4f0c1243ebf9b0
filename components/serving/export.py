"""Writing a trained model: for later nodes, and for serving."""

import functools
import json
import pathlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.layout import CLASSES_ASSET
from components.models.saved_model_layer import SavedModelLayer
from components.transform.pixels import unpack_images


def export_model(
    model: keras.Model,
    *,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    transform_graph: str,
    keras_file: str,
    serving_dir: str,
) -> None:
    """Writes a model as a `.keras` file and as a SavedModel with Transform inside.

    Each signature of the SavedModel returns `logits` and `probabilities`, float32
    `[batch, num_classes]`, and `class`, the most likely class's name, string `[batch]`:

    - `serving_default`: `examples`, serialized `tf.Example`s with a feature `image`, string `[batch]`;
    - `images`: `image`, JPEG or PNG files, string `[batch]`;
    - `transformed`: `image`, packed pixels as Transform stores them, string `[batch]`.

    The class names lie in `assets.extra/classes.json`, in the order of the outputs.

    Args:
      model: Maps images `[batch, height, width, channels]` in [0, 1] to logits `[batch, num_classes]`.
      class_names: The names of the classes, in the order of the logits.
      image_shape: `(height, width, channels)`.
      transform_graph: Directory of the Transform node's graph.
      keras_file: Path of the file to write.
      serving_dir: Directory to write the SavedModel to.
    """
    pathlib.Path(keras_file).parent.mkdir(parents=True, exist_ok=True)
    model.save(keras_file)
    served = ServedModel(
        model, class_names=class_names, image_shape=image_shape, transform_graph=transform_graph
    )
    tf.saved_model.save(
        served,
        serving_dir,
        signatures={
            "serving_default": served.predict_examples,
            "images": served.predict_images,
            "transformed": served.predict_transformed,
        },
    )
    classes = pathlib.Path(serving_dir, CLASSES_ASSET)
    classes.parent.mkdir()
    classes.write_text(json.dumps(list(class_names)), encoding="utf-8")


class ServedModel(tf.Module):
    """What the SavedModel holds: the variables of the model, the Transform graph and the class names.

    The model itself is no attribute: TensorFlow would save a copy of each variable of Keras 3. A server that
    restores by the operation of the graph, as TensorFlow Serving does, would fill these copies and find the
    variables that are read empty (https://github.com/keras-team/keras/issues/20095).
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        class_names: Sequence[str],
        image_shape: tuple[int, int, int],
        transform_graph: str,
    ) -> None:
        super().__init__()
        self._predict = functools.partial(model, training=False)
        weights = set(map(id, model.weights))
        self._weights = [each.value for each in model.variables if id(each) in weights]
        self._state = [each.value for each in model.variables if id(each) not in weights]
        self._restored = list(_restored(model))
        self._class_names = tf.constant(list(class_names))
        self._image_shape = image_shape
        self._transform = tft.TFTransformOutput(transform_graph).transform_features_layer()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts from serialized examples."""
        parsed = tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([], tf.string)})
        return self.predict_images(parsed["image"])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def predict_images(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts from encoded images."""
        return self.predict_transformed(self._transform({"image": image})["image"])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def predict_transformed(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts from packed pixels."""
        logits = self._predict(unpack_images(image, image_shape=self._image_shape))
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class": tf.gather(self._class_names, tf.argmax(logits, axis=-1)),
        }


def _restored(model: keras.Model) -> Iterator[SavedModelLayer]:
    """Finds the layers whose variables are not Keras's."""
    for layer in model.layers:
        if isinstance(layer, SavedModelLayer):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from _restored(layer)
