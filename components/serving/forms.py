"""The forms in which a model is served, and how to open a model that may have any of them."""

import pathlib

from components.errors import InputError
from components.serving.network import Network
from components.serving.saved_model import SavedModel
from components.serving.servable import Servable
from components.storage.copies import local_copy

FORMS: tuple[type[Servable], ...] = (SavedModel,)


def open_servable(uri: str | pathlib.Path, *, network: Network | None = None) -> Servable:
    """Opens a served model.

    Args:
      uri: Where it lies: a directory, or the URI of one.
      network: The Keras model that it was made from, if that is at hand.

    Returns:
      The model, in the form that it has.

    Raises:
      InputError: The directory holds no model of a known form.
    """
    for form in FORMS:
        if form.lies_in(local_copy(str(uri))):
            return form(uri, network=network)
    known = ", ".join(form.__name__ for form in FORMS)
    raise InputError(f"{uri} holds no served model; give the directory of one of: {known}.")
