"""Reads a configuration file, with the changes of the command line."""

import pathlib
import re
from collections.abc import Hashable, Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from components.errors import InputError
from components.settings.explaining import explain
from pipeline.config.experiment import Config


class ConfigError(InputError):
    """The configuration cannot be used. Each line of the message names one key."""


def load_config(path: pathlib.Path, *, overrides: Iterable[str] = ()) -> Config:
    """Reads a configuration file.

    Args:
      path: A YAML file.
      overrides: Assignments `a.b=value`; a list is entered by index, as in
        `distillations.0.temperature=3`. The value is read as YAML.

    Returns:
      The checked configuration.

    Raises:
      ConfigError: The file cannot be read, or says something impossible.
    """
    tree = _read_yaml(path)
    for override in overrides:
        _assign(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error, given=tree))) from None


class _Loader(yaml.SafeLoader):
    """YAML as people write it: `1e-3` is a number, and no key is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # PyYAML refuses it.
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: the key {key.value!r} is given twice; keep one of them")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _read_yaml(path: pathlib.Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}: is not valid YAML{where}: {getattr(error, 'problem', error)}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no configuration; expected keys such as 'name' and 'data'")
    return tree


def _assign(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: expected KEY=VALUE, as in distillations.0.temperature=3")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: {text!r} is not a YAML value; quote it") from None
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        node = _enter(node, part, key)
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {key}: {'.'.join(parents)!r} is a single value and has no {last!r}")


def _enter(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, key)]
    if not isinstance(node, dict):
        raise ConfigError(f"--set {key}: nothing lies below {part!r}")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise ConfigError(f"--set {key}: {part!r} is no index of this list; allowed: 0 to {len(node) - 1}")
    return int(part)
