"""The reference of `summary.json`, made from its types: the JSON Schema and `docs/summary.md`."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from components.files import write_text
from components.report.summary import SCHEMA_VERSION, Evaluation, Run, Summary

SCHEMA_FILE = pathlib.Path(__file__).with_name("summary.schema.json")
DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "summary.md"

_INTRODUCTION = f"""# summary.json

A run leaves `summary.json` in its workspace: what it measured and decided, as numbers, for scripts. The
Evaluator writes the larger part of it as `evaluation.json`; on Kubeflow there is no more than that. This page
and the JSON Schema, [summary.schema.json](../components/report/summary.schema.json), are made from the types
in [summary.py](../components/report/summary.py): `make docs/summary.md` writes both.

- A number that is not finite, or not defined, is null.
- A share lies in [0, 1]; the unit of any other number stands beside it.
- `schema_version` is {SCHEMA_VERSION}. It changes when a key changes its meaning or goes.
"""


def write_reference() -> None:
    """Writes the JSON Schema and the page."""
    write_text(SCHEMA_FILE, json.dumps(json_schema(), indent=2) + "\n")
    write_text(DOCUMENT, document())


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of `summary.json`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | Summary.model_json_schema(mode="serialization", schema_generator=_WithoutFieldTitles)


class _WithoutFieldTitles(GenerateJsonSchema):
    """Leaves out the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document() -> str:
    """Returns the page that describes the keys: those of the whole, then those of each part."""
    schema = json_schema()
    run, evaluation = (
        {key: schema["properties"][key] for key in each.model_fields} for each in (Run, Evaluation)
    )
    sections = [
        _section("The run", "In `summary.json` alone.", run),
        _section("The evaluation", "In `summary.json` and `evaluation.json`.", evaluation),
        *(_section(name, part["description"], part["properties"]) for name, part in _parts(schema)),
    ]
    return "\n".join([_INTRODUCTION, *sections])


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the parts in the order in which a reader meets them."""
    waiting, met = [schema], set()
    while waiting:
        for name in _references(waiting.pop(0)):
            if name not in met:
                met.add(name)
                part = schema["$defs"][name]
                waiting.append(part)
                yield name, part


def _references(part: Any) -> list[str]:
    """Returns the names of the parts that a part refers to."""
    if isinstance(part, list):
        return [name for each in part for name in _references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"].rpartition("/")[2]] if "$ref" in part else []
    return own + [name for key, each in part.items() if key != "$defs" for name in _references(each)]


def _section(heading: str, text: str, properties: Mapping[str, Any]) -> str:
    rows = [_row(key, value) for key, value in properties.items()]
    return "\n".join([f"## {heading}", "", text, "", "| key | type | meaning |", "|---|---|---|", *rows, ""])


def _row(key: str, value: Mapping[str, Any]) -> str:
    meaning = value["description"].replace("|", "\\|")
    return f"| `{key}` | {_type(value)} | {meaning} |"


def _type(value: Mapping[str, Any]) -> str:
    """Writes the type of a value in words, with a link to the part that it is."""
    match value:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options}:
            return " or ".join(map(_type, options))
        case {"const": constant}:
            return f"`{json.dumps(constant)}`"
        case {"enum": options}:
            return " or ".join(f"`{json.dumps(option)}`" for option in options)
        case {"type": "array", "prefixItems": items}:
            return f"[{', '.join(map(_type, items))}]"
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"{{name: {_type(values)}}}"
        case {"type": kind}:
            return str(kind)
    return "any"
