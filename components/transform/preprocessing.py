"""What TFX's Transform runs on every example."""

from typing import Any

import tensorflow as tf

from components.settings.models import ImageSettings
from components.transform.pixels import pack_images


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Packs the image of each example and passes everything else on.

    Args:
      inputs: The raw features; each is `[batch]`.
      custom_config: `image`: the values of `ImageSettings`.

    Returns:
      The features with `image` as packed pixels. The evaluation may slice by any of the others.
    """
    image = ImageSettings.model_validate(custom_config["image"])
    return inputs | {"image": pack_images(inputs["image"], image_shape=image.shape, resize=image.resize)}
