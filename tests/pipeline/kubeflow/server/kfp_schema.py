"""Holds JSON against the schemas of the Kubeflow Pipelines API, v2beta1.

The facts come from `kfp_server_api`, which is generated from the API's OpenAPI document: each model lists
its properties with their types in `openapi_types`, their JSON names in `attribute_map` and the values of an
enum in `allowable_values`; the document's descriptions, which say what is required and what is output only,
are the docstrings of the properties. The parameters of an operation are in the docstring of its method.
"""

import datetime
import inspect
import re
from typing import Any

import kfp_server_api

PRIMITIVES = {"str": str, "int": int, "bool": bool, "float": (int, float)}
# The document requires `name`, but the server takes `display_name` for it, which is all that servers before
# KFP 2.5 know.
NOT_REQUIRED = {("V2beta1Pipeline", "name")}


class SchemaError(Exception):
    """What was sent does not follow the API's schema."""


def check_body(value: Any, model: str, where: str = "body") -> None:
    """Refuses unknown and output-only properties, missing ones, and values of another type."""
    class_ = getattr(kfp_server_api, model)
    if hasattr(class_, "allowable_values"):
        if value not in class_.allowable_values:
            raise SchemaError(f"{where}: {value!r} is none of {class_.allowable_values}")
        return
    if not isinstance(value, dict):
        raise SchemaError(f"{where}: {value!r} is no object")
    attributes = {json_name: name for name, json_name in class_.attribute_map.items()}
    for key, child in value.items():
        if key not in attributes:
            raise SchemaError(f"{where}: {model} has no {key!r}")
        if describe(class_, attributes[key]).startswith("Output"):
            raise SchemaError(f"{where}.{key}: is for the server to set")
        check_type(child, class_.openapi_types[attributes[key]], f"{where}.{key}")
    for json_name, name in attributes.items():
        required = re.match(r"(Required input|Input\. Required)", describe(class_, name))
        if required and not value.get(json_name) and (model, name) not in NOT_REQUIRED:
            raise SchemaError(f"{where}.{json_name}: is required")


def describe(class_: type, name: str) -> str:
    return inspect.getdoc(getattr(class_, name).fget).split("\n\n")[1].strip()


def check_type(value: Any, expected: str, where: str) -> None:
    if expected == "object":
        return
    if match := re.fullmatch(r"list\[(.*)\]", expected):
        if not isinstance(value, list):
            raise SchemaError(f"{where}: {value!r} is no list")
        for index, child in enumerate(value):
            check_type(child, match[1], f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", expected):
        if not isinstance(value, dict):
            raise SchemaError(f"{where}: {value!r} is no object")
        for key, child in value.items():
            check_type(child, match[1], f"{where}.{key}")
    elif expected == "datetime":
        datetime.datetime.fromisoformat(value)
    elif expected in PRIMITIVES:
        if not isinstance(value, PRIMITIVES[expected]) or (isinstance(value, bool) and expected != "bool"):
            raise SchemaError(f"{where}: {value!r} is no {expected}")
    else:
        check_body(value, expected, where)


def check_query(query: dict[str, Any], operation: Any) -> None:
    """Refuses parameters that an operation of the generated API does not have."""
    known = set(re.findall(r":param (\w+):", operation.__doc__))
    if unknown := set(query) - known:
        raise SchemaError(f"{operation.__name__} has no parameters {sorted(unknown)}")
