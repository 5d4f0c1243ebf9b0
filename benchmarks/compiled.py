"""The recipes of a configuration with several seeds, in one compiled loop on JAX: for a GPU.

    .venv/bin/python -m benchmarks.pack CONFIG images.npz --data-dir DIR
    KERAS_BACKEND=jax python -m benchmarks.compiled CONFIG --seeds 3 --images images.npz --work DIR

Networks, losses, methods of distillation, optimizers and schedules are the pipeline's own, which run on any
Keras backend; so are the splits, and the rule that keeps the weights of the best epoch. The loop around them,
the padded crops and the flips are made here for JAX. Random numbers are others than the pipeline's, the last
images of an epoch, too few for a batch, are left out, and the precision `auto` is mixed_bfloat16. Of several
variants of a distillation, the one with the best mean validation accuracy is its row.

TensorFlow is not needed, only JAX, Keras, NumPy, SciPy, Pillow, pydantic, PyYAML and etils. Prints a table
and writes it to `benchmarks/results/compiled.json`, under the name of the experiment. What has been trained
lies in `--work` and is not trained again.
"""

import argparse
import dataclasses
import functools
import io
import itertools
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import keras
import numpy as np
from jax import numpy as jnp
from PIL import Image

from benchmarks.outcomes import Run, print_table, summarise
from components.distiller.objective import Distillation
from components.files import read_json, write_json
from components.layout import UNLABELLED
from components.models import registry
from components.models.building import build_model
from components.settings.models import ModelSettings
from components.settings.training import AugmentSettings
from components.training.callbacks.best_epoch import index_of_best
from components.training.learner import Supervised
from components.training.optimization import make_optimizer, make_schedule
from pipeline.config.experiment import Config
from pipeline.config.loading import load_config

RESULTS = pathlib.Path(__file__).parent / "results/compiled.json"
_TAUGHT = "taught"  # All that distilled students see: the training images and those without a label.
_AT_ONCE = 1000  # Images of a forward pass.

Split = tuple[jax.Array, jax.Array]  # Pixels of 8 bits `[images, height, width, channels]`, and labels.
Weights = Sequence[Sequence[jax.Array]]  # Those that are trained, and those that are not.


def main() -> None:
    """Trains what is missing, prints the table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--images", type=pathlib.Path, required=True, help="What benchmarks.pack wrote.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="Where what is trained is kept.")
    arguments = parser.parse_args()
    config = load_config(arguments.config, overrides=arguments.overrides)
    if config.augment and set(config.augment.model_fields_set) - {"horizontal_flip", "padded_crop"}:
        sys.exit("Of augment, only horizontal_flip and padded_crop are made here; leave out the others.")
    if config.teacher.ema_decay or config.student.ema_decay:
        sys.exit("Weights are not averaged here; leave out ema_decay.")
    runs = list(train_all(config, images=arguments.images, seeds=arguments.seeds, work=arguments.work))
    results = read_json(RESULTS) if RESULTS.exists() else {}
    results[config.name] = {
        "config": arguments.config.name,
        "overrides": arguments.overrides,
        **read_json(arguments.work / "device.json"),
        **summarise(runs),
    }
    write_json(RESULTS, results)
    print_table(config.name, results[config.name])


def train_all(config: Config, *, images: pathlib.Path, seeds: int, work: pathlib.Path) -> Iterator[Run]:
    """Trains every model of every seed that is not in `work` yet; yields them all."""
    open_bench = functools.cache(lambda: _open_bench(config, images=images, work=work))
    models = [
        ("teacher", "teacher", {}),
        ("scratch", "scratch", {}),
        *(
            (search.name, variant.name, search.values(variant))
            for search in config.distillations
            for variant in search.variants
        ),
    ]
    for seed in range(seeds):
        for method, name, settings in models:
            result = work / f"seed-{seed}" / f"{name}.json"
            if not result.exists():
                open_bench().train(name, seed=seed, folder=result.parent)
            found = read_json(result)
            yield Run(
                method=method,
                settings=settings,
                seed=seed,
                validation_accuracy=found["validation_accuracy"],
                correct=found["correct"],
            )


def _open_bench(config: Config, *, images: pathlib.Path, work: pathlib.Path) -> "Bench":
    work.mkdir(parents=True, exist_ok=True)
    device = {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "keras": keras.__version__}
    write_json(work / "device.json", device)
    with np.load(images) as file:
        splits = {
            name: _decode(file, name, image_shape=config.image.shape) for name in config.data.split_names
        }
        splits[_TAUGHT] = splits["train"]
        if UNLABELLED in splits:
            both = zip(splits["train"], splits[UNLABELLED], strict=True)
            splits[_TAUGHT] = tuple(map(jnp.concatenate, both))
        return Bench(config, splits, test_ids=file["test_ids"].tolist())


def _decode(file: Mapping[str, np.ndarray], split: str, *, image_shape: tuple[int, int, int]) -> Split:
    encoded, ends = file[f"{split}_bytes"].tobytes(), file[f"{split}_ends"].tolist()
    places = zip([0, *ends[:-1]], ends, strict=True)
    pixels = [np.asarray(Image.open(io.BytesIO(encoded[start:end]))) for start, end in places]
    return jax.device_put((np.reshape(pixels, [-1, *image_shape]), file[f"{split}_labels"]))


class Bench:
    """Trains and tests the models of an experiment.

    Args:
      config: The experiment.
      splits: Its images.
      test_ids: The ids of the images of `test`.
    """

    def __init__(self, config: Config, splits: Mapping[str, Split], *, test_ids: Sequence[str]) -> None:
        self._config = config
        self._splits = splits
        self._test_ids = test_ids
        self._num_classes = 1 + int(splits["train"][1].max())
        self._teacher = self._build(config.teacher)
        self._predictor = functools.cache(_compile_predict)
        self._compiled = functools.cache(self._compile)

    def train(self, name: str, *, seed: int, folder: pathlib.Path) -> None:
        """Trains a model; its weights, its history and how it did on the test images go into a folder.

        Args:
          name: `teacher`, `scratch`, or that of a distillation, which comes after the teacher.
          seed: Of its weights and batches.
          folder: Of the seed.
        """
        start = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(seed)
        model = self._build(self._settings(name))
        teacher = None
        if name not in ("teacher", "scratch"):
            teacher = _weights(keras.saving.load_model(folder / "teacher.keras", compile=False))
        best, epochs = self._run(name, _weights(model), teacher=teacher, seed=seed)
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        for variable, value in zip(variables, itertools.chain(*best), strict=True):
            variable.assign(value)
        model.save(folder / f"{name}.keras")
        right = self._right(self._compiled(name).model, best, "test").tolist()
        result = {
            "validation_accuracy": max(epoch["val_accuracy"] for epoch in epochs),
            "correct": dict(zip(self._test_ids, right, strict=True)),
            "epochs": epochs,
        }
        write_json(folder / f"{name}.json", result)
        print(f"{seed} {name}: {np.mean(right):.2%} in {time.monotonic() - start:.0f} s", flush=True)

    def _run(
        self, name: str, weights: Weights, *, teacher: Weights | None, seed: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        """Trains weights; returns those of the best epoch, and the history."""
        compiled, settings, split = self._compiled(name), self._settings(name), self._training_split(name)
        views = self._store_views(teacher, seed=seed) if teacher and self._config.views else None
        state = (*weights, [variable.value for variable in compiled.optimizer.variables])
        best, epochs = weights, []
        for number in range(settings.epochs):
            start = time.monotonic()
            occasion = ("epoch", number) if views is None else ("view", number % len(views))
            order = np.random.default_rng((seed, number)).permutation(len(split[0]))
            state, loss = compiled.run_epoch(
                state,
                split,
                order[: len(order) // settings.batch_size * settings.batch_size].reshape(
                    -1, settings.batch_size
                ),
                _draw_changes(_key(seed, *occasion), len(order), augment=self._config.augment),
                {"epoch": jnp.float32(number)},
                {} if views is None else {"teacher_logits": views[number % len(views)]},
                teacher if views is None else None,
            )
            accuracy = float(self._right(compiled.model, state[:2], "validation").mean())
            seconds = time.monotonic() - start
            epochs.append({"loss": float(loss), "val_accuracy": accuracy, "seconds": seconds})
            if index_of_best([epoch["val_accuracy"] for epoch in epochs]) == number:
                best = state[:2]
            if number < 2 or number % 10 == 9:
                print(f"{seed} {name} {number}: {accuracy:.2%}, {seconds:.2f} s", flush=True)
        return best, epochs

    def _compile(self, name: str) -> "Compiled":
        """Compiles a pass over the training images of one of the models."""
        settings = self._settings(name)
        methods = {
            variant.name: variant for search in self._config.distillations for variant in search.variants
        }
        objective = Distillation(methods[name]) if name in methods else Supervised()
        model = self._build(settings)
        steps = len(self._training_split(name)[0]) // settings.batch_size
        optimizer = make_optimizer(
            settings,
            schedule=make_schedule(settings, steps_per_epoch=steps),
            weights=model.trainable_variables,
        )
        optimizer.build(model.trainable_variables)

        def lose(trained: Any, rest: Any, images: jax.Array, targets: dict[str, Any]) -> tuple[Any, Any]:
            logits, rest = model.stateless_call(trained, rest, images, training=True)
            return objective.call(targets, logits).mean(), rest

        @jax.jit
        def run_epoch(
            state: Any, split: Split, order: Any, changes: Any, shared: Any, stored: Any, teacher: Any
        ) -> tuple[Any, jax.Array]:
            pixels, labels = split

            def step(state: Any, chosen: jax.Array) -> tuple[Any, jax.Array]:
                trained, rest, moments = state
                images = _scale(_change(pixels[chosen], *(drawn[chosen] for drawn in changes)))
                targets = {"label": labels[chosen], **shared}
                targets |= {key: values[chosen] for key, values in stored.items()}
                if teacher is not None:
                    asked, _ = self._teacher.stateless_call(*teacher, images, training=False)
                    targets["teacher_logits"] = asked
                find_slopes = jax.value_and_grad(lose, has_aux=True)
                (loss, rest), slopes = find_slopes(trained, rest, images, targets)
                trained, moments = optimizer.stateless_apply(moments, slopes, trained)
                return (trained, rest, moments), loss

            state, losses = jax.lax.scan(step, state, order)
            return state, losses.mean()

        return Compiled(model, optimizer, run_epoch)

    def _store_views(self, teacher: Weights, *, seed: int) -> list[jax.Array]:
        """Returns the teacher's logits for each view of the training images, `[images, classes]` each."""
        pixels, _ = self._splits[_TAUGHT]
        predict, augment = self._predictor(self._teacher), self._config.augment
        changes = (
            _draw_changes(_key(seed, "view", view), len(pixels), augment=augment)
            for view in range(self._config.views.number)
        )
        return [predict(teacher, _change(pixels, *drawn)) for drawn in changes]

    def _right(self, model: keras.Model, weights: Weights, split: str) -> np.ndarray:
        pixels, labels = self._splits[split]
        return np.asarray(self._predictor(model)(weights, pixels).argmax(axis=-1) == labels)

    def _training_split(self, name: str) -> Split:
        return self._splits["train" if name in ("teacher", "scratch") else _TAUGHT]

    def _settings(self, name: str) -> ModelSettings:
        return self._config.teacher if name == "teacher" else self._config.student

    def _build(self, settings: ModelSettings) -> keras.Model:
        precision = self._config.hardware.precision
        return build_model(
            registry.load(settings.architecture),
            name=settings.architecture,
            image_shape=self._config.image.shape,
            num_classes=self._num_classes,
            precision="mixed_bfloat16" if precision == "auto" else precision,
        )


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A pass over the training images, with the model and the fresh optimizer whose weights it is given."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    run_epoch: Callable[..., Any]


def _weights(model: keras.Model) -> Weights:
    variables = model.trainable_variables, model.non_trainable_variables
    return [[variable.value for variable in each] for each in variables]


def _compile_predict(model: keras.Model) -> Callable[[Weights, jax.Array], jax.Array]:
    """Returns a function from weights and images, of 8-bit pixels, to logits `[images, classes]`."""

    @jax.jit
    def predict(weights: Weights, images: jax.Array) -> jax.Array:
        filled = jnp.pad(images, [(0, -len(images) % _AT_ONCE), (0, 0), (0, 0), (0, 0)])
        logits = jax.lax.map(
            lambda batch: model.stateless_call(*weights, _scale(batch), training=False)[0],
            filled.reshape(-1, _AT_ONCE, *images.shape[1:]),
        )
        return logits.reshape(len(filled), -1)[: len(images)]

    return predict


def _key(seed: int, occasion: Literal["epoch", "view"], number: int) -> jax.Array:
    """Returns the key of the random changes of all images in an epoch, or of a view."""
    return jax.random.fold_in(jax.random.key(2 * seed + (occasion == "view")), number)


def _draw_changes(
    key: jax.Array, images: int, *, augment: AugmentSettings | None
) -> tuple[jax.Array, jax.Array]:
    """Draws by how many pixels each image moves, `[images, 2]`, and whether it is flipped, `[images]`."""
    margin, flip = (augment.padded_crop, augment.horizontal_flip) if augment else (0, False)
    moves, flips = jax.random.split(key)
    return (
        jax.random.randint(moves, (images, 2), -margin, margin + 1),
        jax.random.bernoulli(flips, 0.5 * flip, (images,)),
    )


def _change(pixels: jax.Array, moves: jax.Array, flips: jax.Array) -> jax.Array:
    """Moves images `[images, height, width, channels]`, black coming in, and flips some of them."""
    _, height, width, _ = pixels.shape
    rows, columns = jnp.arange(height) + moves[:, :1], jnp.arange(width) + moves[:, 1:]
    columns = jnp.where(flips[:, None], columns[:, ::-1], columns)
    images = jnp.arange(len(pixels))
    return pixels.at[images[:, None, None], rows[:, :, None], columns[:, None, :]].get(
        mode="fill", fill_value=0, wrap_negative_indices=False
    )


def _scale(pixels: jax.Array) -> jax.Array:
    return pixels.astype("float32") / 255


if __name__ == "__main__":
    main()
