"""The image, without a Docker engine: its Dockerfile is linted, and its installation carried out."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
BUILD, _, FINAL = DOCKERFILE.partition("FROM python:3.11-slim-bookworm")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The virtual environment that the image's script makes from nothing but what the Dockerfile copies."""
    context, venv = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("opt") / "venv"
    for sources, target in re.findall(r"^COPY (.+) (\S+)$", BUILD, re.MULTILINE):
        for source in sources.split():
            copy(REPOSITORY / source, context / target / (source if target == "./" else ""))
    (command,) = re.findall(
        r"^RUN (container/install\.sh /opt/venv requirements\.lock)$", BUILD, re.MULTILINE
    )
    (version,) = re.findall(r"^ARG (UV_VERSION=\S+)$", BUILD, re.MULTILINE)
    name, number = version.split("=")
    subprocess.run(
        command.replace("/opt/venv", str(venv)).split(),
        cwd=context,
        check=True,
        env=os.environ | {name: number},
    )
    shutil.rmtree(context)
    return venv


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_health_command_runs_in_the_image_s_environment(
    installed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (health,) = re.findall(r'^HEALTHCHECK .*CMD \["distill", "(\S+)"\]$', FINAL, re.MULTILINE)

    result = subprocess.run(
        [installed / "bin/distill", health], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "compile" in result.stdout


def test_a_node_finds_its_code_and_its_packages_in_the_image_s_environment(
    installed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    program = (
        "import pipeline.kubeflow.entrypoint as e; import components.evaluator.executor as x; "
        "import components.evaluator.report, pathlib; "
        "assert (pathlib.Path(x.__file__).parent / 'report.html.j2').is_file(); print(e.__file__)"
    )

    result = subprocess.run(
        [installed / "bin/python3", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(installed))


def test_dockerfile_passes_the_linter() -> None:
    linter = pathlib.Path(sys.executable).parent / "hadolint"

    result = subprocess.run([linter, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


def test_what_is_installed_at_one_place_is_installed_at_all() -> None:
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)

    assert f"ARG UV_VERSION={version}\n" in DOCKERFILE
    locked = pins("requirements.lock")
    for package, pinned in pins("container/cuda.lock").items():
        assert package.startswith("nvidia-") or locked[package] == pinned
    assert "nvidia-cudnn-cu12" in pins("container/cuda.lock")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / lock).read_text(), re.MULTILINE))


def test_the_final_layers_have_no_compiler_and_no_fixed_user() -> None:
    assert "RUN" not in FINAL
    assert re.findall(r"^FROM (\S+) AS (\S+)$", FINAL, re.MULTILINE) == [
        ("runtime", "gpu"),
        ("runtime", "cpu"),
    ]
    assert "\nUSER 65534:65534\n" in FINAL
    assert "HOME=/tmp" in FINAL
