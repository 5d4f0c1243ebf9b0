#!/bin/sh
# Makes a virtual environment, or adds to one, with the locked packages and this project in it. The Dockerfile runs
# this, and so does a test.
#
#   UV_VERSION=0.13.9 container/install.sh VENV LOCK...
set -eu

venv=$1
shift
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3.11 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet "uv==$UV_VERSION"
"$tools/bin/uv" venv --quiet --allow-existing --python python3.11 "$venv"
"$tools/bin/uv" pip sync --quiet --python "$venv" --require-hashes --compile-bytecode "$@"
"$tools/bin/uv" pip install --quiet --python "$venv" --no-deps --no-build-isolation --compile-bytecode .
