#!/bin/sh
# Puts locked packages, or this project, into a virtual environment, which is made if need be. The Dockerfile runs this,
# and so does a test.
#
#   UV_VERSION=0.13.9 container/install.sh VENV LOCK...    the packages of the locks, by hash
#   UV_VERSION=0.13.9 container/install.sh VENV            the project
set -eu

venv=$1
shift
tools=${TMPDIR:-/tmp}/uv-$UV_VERSION
cd "$(dirname "$0")/.."

if [ ! -x "$tools/bin/uv" ]; then
    python3.11 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet "uv==$UV_VERSION"
fi
if [ $# -gt 0 ]; then
    "$tools/bin/uv" venv --quiet --allow-existing --python python3.11 "$venv"
    "$tools/bin/uv" pip sync --quiet --python "$venv" --require-hashes "$@"
    # 430 MB of headers, of use only to who compiles operations for TensorFlow.
    rm -rf "$venv"/lib/python3.11/site-packages/tensorflow/include
else
    "$tools/bin/uv" pip install --quiet --python "$venv" --no-deps --no-build-isolation .
fi
