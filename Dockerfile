# The image in which every node runs on Kubeflow: the same locked packages as on a laptop and in CI.
#
#   docker build --target cpu --tag REGISTRY/distillation-pipeline:0.1.0 .
#   docker build --target gpu --tag REGISTRY/distillation-pipeline:0.1.0-gpu .
#   docker build --target worker --tag REGISTRY/distillation-pipeline:0.1.0-worker .   # where Beam starts containers
#
# Some packages are compiled while they are installed, so that is done in an image with compilers, and its result
# copied into one without. The packages come before the code, which changes more often.

FROM python:3.11-bookworm AS packages
ARG UV_VERSION=0.13.9
ENV UV_VERSION=$UV_VERSION UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.lock ./
COPY container ./container
RUN container/install.sh /opt/venv requirements.lock

FROM packages AS packages-gpu
RUN container/install.sh /opt/venv requirements.lock container/cuda.lock

FROM packages AS build
COPY pyproject.toml setup.py README.md LICENSE ./
COPY components ./components
COPY pipeline ./pipeline
RUN container/install.sh /opt/venv

FROM packages-gpu AS build-gpu
COPY pyproject.toml setup.py README.md LICENSE ./
COPY components ./components
COPY pipeline ./pipeline
RUN container/install.sh /opt/venv

FROM python:3.11-slim-bookworm AS runtime
# Kubeflow may choose any user and a read-only file system: nothing is written but in /tmp.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A user's own architectures are found here.
WORKDIR /app
USER 65534:65534
HEALTHCHECK --interval=1m --timeout=30s CMD ["distill", "--help"]
ENTRYPOINT ["distill"]

FROM runtime AS gpu
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-gpu /opt/venv /opt/venv

FROM runtime AS worker
COPY --from=build /opt/venv /opt/venv
ENTRYPOINT ["python3", "-m", "components.beam_workers.boot"]

FROM runtime AS cpu
COPY --from=build /opt/venv /opt/venv
