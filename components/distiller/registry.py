"""The methods of distillation: every module in `methods` that defines a `Method` is one.

Importing this loads no other library.
"""

import typing
from typing import Annotated

from components.distiller import methods
from components.distiller.methods.base import Method
from components.settings.discovery import find_kinds, one_of


def _name(method: type[Method]) -> str:
    (name,) = typing.get_args(method.model_fields["method"].annotation)
    return name


# The class of each method by its name.
_FOUND = find_kinds(methods, base=Method)  # type: ignore[type-abstract]
METHODS = {_name(method): method for method in sorted(_FOUND, key=_name)}
DistillationSettings = Annotated[Method, one_of(list(METHODS.values()), discriminator="method")]
