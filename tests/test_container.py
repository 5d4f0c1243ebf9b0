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
# The base and the instructions of each stage, by the stage's name.
STAGES = {
    name: (base, instructions)
    for base, name, instructions in re.findall(
        r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
}


def instructions(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage and of the stages on which it builds, in order."""
    base, text = STAGES[stage]
    before = instructions(base) if base in STAGES else []
    return before + re.findall(r"^([A-Z]+) (.+)$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The virtual environment of the image, made in a directory that holds what the Dockerfile copies."""
    directory = tmp_path_factory.mktemp("image")
    venv, context = directory / "venv", directory / "build"
    context.mkdir()
    environment = os.environ | {"TMPDIR": str(directory)}
    for instruction, text in instructions("build"):
        if instruction == "ARG":
            name, value = text.split("=")
            environment[name] = value
        elif instruction == "COPY":
            copy(*text.split(), context=context)
        elif instruction == "RUN":
            subprocess.run(
                text.replace("/opt/venv", str(venv)).split(), cwd=context, check=True, env=environment
            )
    shutil.rmtree(context)
    return venv


def copy(*paths: str, context: pathlib.Path) -> None:
    *sources, target = paths
    for source in map(REPOSITORY.joinpath, sources):
        if source.is_dir():
            shutil.copytree(source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, context / target)


def test_the_health_command_runs_in_the_image_s_environment(
    installed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (health,) = re.findall(r'^HEALTHCHECK .*CMD \["distill", "(\S+)"\]$', DOCKERFILE, re.MULTILINE)

    result = subprocess.run(
        [installed / "bin/distill", health], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "compile" in result.stdout


def test_a_node_finds_its_code_and_its_packages_in_the_image_s_environment(
    installed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    program = (
        "import components.report as c, pipeline.kubeflow.entrypoint as e, importlib.util as u, pathlib; "
        "print(e.__file__, c.__file__, u.find_spec('tfx').origin); "
        "assert list(pathlib.Path(c.__file__).parent.rglob('report.html.j2'))"
    )

    result = subprocess.run(
        [installed / "bin/python3", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    for path in result.stdout.split():
        assert path.startswith(str(installed))


def test_the_dockerfile_passes_the_linter() -> None:
    linter = pathlib.Path(sys.executable).parent / "hadolint"

    result = subprocess.run([linter, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


def test_the_gpu_image_differs_by_cuda_alone() -> None:
    cpu, gpu = instructions("build"), instructions("build-gpu")

    assert [line for line in gpu if line not in cpu] == [
        ("RUN", "container/install.sh /opt/venv requirements.lock container/cuda.lock")
    ]
    locked, cuda = pins("requirements.lock"), pins("container/cuda.lock")
    assert "nvidia-cudnn-cu12" in cuda
    for package, version in cuda.items():
        assert package.startswith("nvidia-") or locked[package] == version


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / lock).read_text(), re.MULTILINE))


def test_the_image_and_a_laptop_install_with_the_same_version_of_uv() -> None:
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)

    assert ("ARG", f"UV_VERSION={version}") in instructions("build")


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_nothing_is_built_in_the_image_itself_and_its_user_is_not_root(target: str) -> None:
    found = instructions(target)

    assert STAGES["runtime"][0] == "python:3.11-slim-bookworm"  # It has no compiler.
    assert "RUN" not in dict(found)
    assert ("USER", "65534:65534") in found
