"""What all settings have in common: they are strict, frozen, and name the keys that are allowed."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from components.errors import suggest
from components.storage.uri import normalised, pattern_sign

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A directory or the URI of one, of which other spellings are the same.
Folder = Annotated[str, AfterValidator(normalised)]


def _refuse_pattern(folder: str) -> str:
    if sign := pattern_sign(folder):
        raise custom_error(f"Beam takes {sign!r} for a pattern; choose another place")
    return folder


# One in which Beam finds what it has written.
BeamFolder = Annotated[Folder, AfterValidator(_refuse_pattern)]


class Settings(BaseModel):
    """Strict, frozen settings that name the allowed keys when they meet an unknown one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_key(cls, values: Any) -> Any:
        if isinstance(values, dict):
            allowed = keys(cls)
            for key in values:
                if key not in allowed:
                    raise PydanticCustomError("unknown_key", "{message}", _unknown_key(cls, key))
        return values


def keys(cls: type[Settings]) -> list[str]:
    """Returns the keys of some settings, as a user writes them."""
    return [field.alias or name for name, field in cls.model_fields.items()]


def _unknown_key(cls: type[Settings], key: object) -> dict[str, str]:
    allowed = keys(cls)
    return {"message": f"unknown key {key!r}; allowed: {', '.join(allowed)}{suggest(key, allowed)}"}


def custom_error(message: str) -> PydanticCustomError:
    """Makes the error that a validator raises, with a sentence that completes the name of a key."""
    return PydanticCustomError("value", "{message}", {"message": message})
