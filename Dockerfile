# The image in which every node runs on Kubeflow: the same locked packages as on a laptop and in CI.
FROM python:3.11-slim-bookworm

ARG UV_VERSION=0.13.9
WORKDIR /app
COPY requirements.lock ./
RUN python -m pip install --no-cache-dir uv==${UV_VERSION} \
    && uv pip sync --system --require-hashes --compile-bytecode --no-cache requirements.lock

COPY pyproject.toml setup.py README.md LICENSE ./
COPY components ./components
COPY pipeline ./pipeline
COPY configs ./configs
RUN uv pip install --system --no-deps --no-build-isolation --no-cache . \
    && python -m compileall -q pipeline components

# Kubeflow may choose any user: nothing is written outside /tmp.
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65534:65534
ENTRYPOINT ["distill"]
