#!/bin/sh
# Makes a worker's environment: sh setup.sh SOURCE ENVIRONMENT. The Dockerfile runs it, and so does a node without
# containers. SOURCE is a checkout; PYTHON may name another interpreter. Everything is pinned by requirements.lock.
set -eu
source=$1 environment=$2
"${PYTHON:-python3.11}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$source/requirements.lock"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$source"
"$environment/bin/python" -m refinery --version
