"""The documentation against what it describes. Nothing here imports TensorFlow."""

import ast
import dataclasses
import fnmatch
import functools
import pathlib
import re
import subprocess
import typing
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
import yaml

from components.metrics import METRICS
from pipeline.config.experiment import Config

REPOSITORY = pathlib.Path(__file__).parents[1]
CONFIGURATION = REPOSITORY / "docs" / "configuration.md"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]

# A key's default, as YAML or `required`, and the words that are allowed if it takes only some, sorted.
Row = tuple[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of keys, and the places in a configuration that its heading names."""

    places: tuple[str, ...]
    rows: dict[str, Row]

    def stands_at(self, place: str) -> bool:
        """Whether it is meant for a place; `*` in the heading is any part of one."""
        return any(fnmatch.fnmatchcase(place, pattern) for pattern in self.places)


Schema = dict[str, Any]


def settings_of(schema: Schema) -> Iterator[tuple[str, dict[str, Row]]]:
    """Walks the JSON Schema of settings: the place of each section, and the keys there."""
    definitions = schema.get("$defs", {})

    def resolve(part: Schema) -> Schema:
        return definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    def sections(part: Schema, place: str) -> Iterator[tuple[str, Schema]]:
        """Finds the sections that may stand at a place, also in a list or below a name."""
        part = resolve(part)
        if "properties" in part:
            yield place, part
        for kind in (*part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())):
            yield from sections(kind, place)
        if "items" in part:
            yield from sections(part["items"], place)
        if isinstance(part.get("additionalProperties"), dict):
            yield from sections(part["additionalProperties"], f"{place}.NAME")

    def default_of(key: str, section: Schema) -> str:
        if key in section.get("required", ()):
            return "required"
        part = section["properties"][key]
        value = part["default"]
        if isinstance(value, dict):
            for _, below in sections(part, ""):
                keys = below["properties"]
                value = {name: each for name, each in value.items() if each != keys[name].get("default")}
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False)
        return text.removesuffix("...\n").strip()

    def walk(section: Schema, place: str) -> Iterator[tuple[str, dict[str, Row]]]:
        keys = section["properties"]
        yield place, {key: (default_of(key, section), tuple(sorted(_words_of(keys[key])))) for key in keys}
        for key, part in keys.items():
            for below, found in sections(part, f"{place}.{key}".removeprefix(".")):
                yield from walk(found, below)

    yield from walk(schema, "")


def _words_of(part: Schema) -> Iterator[str]:
    for word in (part["const"],) if "const" in part else part.get("enum", ()):
        yield str(word)
    for kind in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _words_of(kind)


# Settings that may stand in one place twice, alone and in a list, count once.
SETTINGS = [
    (place, dict(rows))
    for place, rows in sorted(
        {(place, tuple(rows.items())) for place, rows in settings_of(Config.model_json_schema())}
    )
]


@functools.cache
def documented() -> tuple[Table, ...]:
    """Reads the tables of keys; the headings above them name their places, or none for the top level."""
    tables: list[Table] = []
    places: tuple[str, ...] = ()
    in_table = False
    for line in _without_code(CONFIGURATION.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            places = tuple(re.findall(r"`([^`]+)`", line)) or ("",)
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells == ["key", "type", "default", "meaning"]:
            tables.append(Table(places, {}))
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table and not set(line) <= set("|-"):
            key, kind, default, meaning = cells
            assert meaning, f"{places}: {key} has no meaning"
            assert key.strip("`") not in tables[-1].rows, f"{places}: {key} stands there twice"
            words = tuple(sorted(re.findall(r"`([^`]+)`", kind)))
            tables[-1].rows[key.strip("`")] = (default.strip("`"), words)
    return tuple(tables)


@pytest.mark.parametrize(("place", "rows"), SETTINGS, ids=[place or "top" for place, _ in SETTINGS])
def test_every_key_is_documented_with_its_default(place, rows):
    candidates = [table.rows for table in documented() if table.stands_at(place)]
    # Of several kinds of settings in one place, the keys tell which table is meant.
    alike = max(candidates, key=lambda found: len(found.items() & rows.items()), default=None)
    assert alike == rows


def test_no_key_is_documented_that_does_not_exist():
    expected = Counter(place for place, _ in SETTINGS)
    found = Counter(place for place in expected for table in documented() if table.stands_at(place))
    assert found == expected
    assert [table for table in documented() if not any(map(table.stands_at, expected))] == []


def test_every_metric_is_documented():
    text = CONFIGURATION.read_text(encoding="utf-8")
    table = text.partition("\n### Metrics\n")[2].partition("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [metric.name for metric in METRICS]


def test_sections_are_found_wherever_they_stand():
    class Inner(pydantic.BaseModel):
        kind: typing.Literal["a", "b"] | None = None
        number: float = 0.5

    class Other(pydantic.BaseModel):
        given: str = pydantic.Field(alias="from")

    class Outer(pydantic.BaseModel):
        one: Inner = Inner(number=0.25)
        some: typing.Annotated[tuple[typing.Annotated[Inner | Other, "tag"], ...] | None, "list"] = None
        named: dict[str, Other] = {}
        flags: tuple[bool, ...] = (True,)

    inner = {"kind": ("null", ("a", "b")), "number": ("0.5", ())}
    other = {"from": ("required", ())}
    top = {
        "one": ("{number: 0.25}", ()),
        "some": ("null", ()),
        "named": ("{}", ()),
        "flags": ("[true]", ()),
    }
    assert list(settings_of(Outer.model_json_schema())) == [
        ("", top),
        ("one", inner),
        ("some", inner),
        ("some", other),
        ("named.NAME", other),
    ]


def test_every_package_is_described():
    assert sorted(_packages()) == sorted({_package_of(module) for module in _modules()})


def test_packages_import_only_from_those_above_them_in_the_table():
    position = {package: number for number, package in enumerate(_packages())}
    upwards = [
        f"{module} imports {imported}"
        for module, path in _modules().items()
        for imported in _imports(path)
        if position.get(_package_of(imported), len(position)) > position[_package_of(module)]
    ]
    assert upwards == []


def test_no_folder_is_crowded():
    counts = Counter(module.rpartition(".")[0] for module in _modules())
    assert {folder: count for folder, count in counts.items() if count > 12} == {}


def _packages() -> list[str]:
    """Reads the packages that the architecture describes, the lowest first."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"^\| `((?:components|pipeline)/\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    return [path.replace("/", ".") for path in paths]


def _package_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _modules() -> dict[str, pathlib.Path]:
    return {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path
        for package in ("components", "pipeline")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    }


def _imports(path: pathlib.Path) -> Iterator[str]:
    """Names the modules of this project that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.startswith(("components.", "pipeline.")))


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    broken = [
        link
        for link in _links(page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", link) and not _leads_somewhere(link, page=page)
    ]
    assert broken == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b_c`: d\n\n[one](other.md#x)\n```\n# no heading [no](link)\n```\n", encoding="utf-8"
    )
    (tmp_path / "other.md").write_text("# X\n\n## X\n", encoding="utf-8")
    assert list(_links(page.read_text(encoding="utf-8"))) == ["other.md#x"]
    anchors = {
        "#a-b_c-d": True,
        "other.md#x-1": True,
        "other.md#x-2": False,
        "absent.md": False,
        "#no": False,
    }
    assert {link: _leads_somewhere(link, page=page) for link in anchors} == anchors


def _leads_somewhere(link: str, *, page: pathlib.Path) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target.read_text(encoding="utf-8")))


def _links(text: str) -> list[str]:
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]+`", "", _without_code(text)))


def _anchors(text: str) -> set[str]:
    """Names the headings as GitHub does."""
    counts: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", _without_code(text), re.MULTILINE):
        kept = (letter for letter in heading.lower() if letter in " -_" or _is_word(letter))
        anchor = "".join(kept).replace(" ", "-")
        anchors.add(f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor)
        counts[anchor] += 1
    return anchors


def _is_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LNM"


def _without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def test_make_help_lists_every_target():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {
        name for line in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE) for name in line.split()
    }
    result = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    listed = dict(line.split(maxsplit=2)[1:] for line in result.stdout.splitlines())
    assert listed.keys() == targets
    assert listed["lint"] == "Check style and types."


def worked_examples() -> list[str]:
    """The changes that docs/architecture.md shows, as patches."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"^```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("patch", worked_examples(), ids=lambda patch: patch.partition("+++ b/")[2][:40])
def test_worked_examples_fit_the_code(patch: str) -> None:
    """What a newcomer is shown can be applied as it stands."""
    command = ["git", "apply", "--check", "-"]
    result = subprocess.run(command, cwd=REPOSITORY, input=patch, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_there_is_an_example_for_each_thing_that_can_be_added() -> None:
    assert len(worked_examples()) == 5
