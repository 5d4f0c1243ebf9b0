"""Which images, and how they are split."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.settings.base import Fraction, Settings, custom_error

SPLITS = ("train", "validation", "test")


class Splits(Settings):
    """A TFDS split expression, such as `train[:90%]`, for each split of the pipeline."""

    train: str
    validation: str
    test: str


class SplitFractions(Settings):
    """The share of the images that goes to each split; the three add up to 1."""

    train: Fraction = 0.8
    validation: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise custom_error(f"the three fractions must add up to 1, not {total:g}")
        return self


class _Data(Settings):
    """What every source has.

    Without `labels`, those of the training and the validation split are left out: students are distilled
    from the teacher alone, and only the test split is labelled.
    """

    max_corrupt_fraction: Fraction = 0.1
    labels: bool = True


class TfdsData(_Data):
    """Any image classification data set of TensorFlow Datasets.

    `sample_weight` names a feature with a number that each example's loss is multiplied by in training.
    """

    source: Literal["tfds"]
    dataset: Annotated[str, Field(min_length=1)]
    data_dir: str | None = None
    splits: Splits
    sample_weight: Annotated[str, Field(min_length=1)] | None = None


class ImageFolderData(_Data):
    """`path/{train,validation,test}/CLASS/*` or `path/CLASS/*`, the latter split by fractions.

    Without `labels`, the images of train and validation need no class folders.
    """

    source: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    split_fractions: SplitFractions = SplitFractions()


class DigitsData(_Data):
    """The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

    source: Literal["digits"]
    split_fractions: SplitFractions = SplitFractions(train=0.6, validation=0.2, test=0.2)


DataSettings = Annotated[TfdsData | ImageFolderData | DigitsData, Field(discriminator="source")]
