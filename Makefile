PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
VENV := .venv
INSTALLED := $(VENV)/.installed
FLINK := build/flink
# Without Maven there is no Flink, without Go no Prism, and the tests say so.
FLINK_SETUP := $(if $(shell command -v mvn),$(FLINK)/.unpacked $(FLINK)/job-server.jar)
BEAM_VERSION := $(shell sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' requirements.lock)
PRISM := $(if $(shell command -v go),build/prism-$(BEAM_VERSION))
# Two processes, which need 4 GB each. A file's tests share models and runs, so they stay together.
PYTEST := $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: benchmark demo kubeflow-check test test-flink test-long test-year lint format lock pipeline.yaml docs/summary.md clean install

demo: $(INSTALLED)  ## Run the whole pipeline on scikit-learn's digits.
	$(VENV)/bin/distill run configs/digits.yaml

test: $(INSTALLED)  ## Run the test suite, but for its longest proofs.
	$(PYTEST) -m "not flink and not long and not year"

test-long: $(INSTALLED)  ## Run the longest proofs: the graph on real images, in several processes, as on Kubeflow.
	$(PYTEST) -m long

test-year: $(INSTALLED)  ## Play a year of unattended retraining, its two halves at once.
	$(VENV)/bin/python -m pytest tests/end_to_end/test_year.py

test-flink: $(INSTALLED) $(FLINK_SETUP) $(PRISM)  ## Run digits on Prism and on a Flink cluster, and lose each part of it.
	$(VENV)/bin/python -m pytest -m flink tests/end_to_end/engines

kubeflow-check: $(INSTALLED)  ## Try a live Kubeflow Pipelines; HOST=URL says which, IMAGE=IMAGE what its nodes run.
	$(VENV)/bin/python -m pytest tests/live --timeout 7200 --kubeflow-host $(HOST) $(if $(IMAGE),--kubeflow-image $(IMAGE)) \
		$(if $(NAMESPACE),--kubeflow-namespace $(NAMESPACE)) $(if $(CA_FILE),--kubeflow-ca-file $(CA_FILE))

benchmark: $(INSTALLED)  ## Measure against the bounds; DATA_DIR=DIR says where TFDS's data is prepared.
	$(VENV)/bin/python -m benchmarks.speed mnist --data-dir $(DATA_DIR)
	$(VENV)/bin/python -m benchmarks.speed cats_vs_dogs --data-dir $(DATA_DIR)
	$(VENV)/bin/python -m benchmarks.memory --data-dir $(DATA_DIR)
	$(VENV)/bin/python -m benchmarks.whole mnist_three_losses cats_vs_dogs --data-dir $(DATA_DIR)

lint: $(INSTALLED)  ## Check style and types.
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(INSTALLED)  ## Rewrite the code in the project's style.
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

install: $(INSTALLED)  ## Set up the virtual environment.

lock: $(VENV)/bin/uv  ## Resolve the dependencies of pyproject.toml anew.
	$(VENV)/bin/uv pip compile pyproject.toml --extra onnx --group dev --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --upgrade --quiet --output-file requirements.lock
	$(VENV)/bin/uv pip compile container/cuda.in --no-config --constraint requirements.lock --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --output-file container/cuda.lock

pipeline.yaml: $(INSTALLED)  ## Compile the committed Kubeflow pipelines: this one, and those of the tests.
	REWRITE_GOLDEN=1 $(VENV)/bin/python -m pytest tests/pipeline/kubeflow/test_golden.py

docs/summary.md: $(INSTALLED)  ## Write the reference of summary.json, and its JSON Schema, from the types.
	$(VENV)/bin/python -c 'from components.report.reference import write_reference; write_reference()'

.PHONY: help
help:  ## List these targets.
	@awk -F ':.*## ' '/^[a-z][a-z.\/_-]*:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean:  ## Remove the virtual environment, the runs and every cache.
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(FLINK)/.unpacked: tests/end_to_end/engines/requirements.txt $(INSTALLED)
	$(VENV)/bin/python -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation --require-hashes \
		--requirement $< --dest $(FLINK)
	tar --extract --gzip --file $(FLINK)/apache-flink-libraries-*.tar.gz --directory $(FLINK) --strip-components 2 \
		--wildcards '*/deps/lib/flink-dist-*' '*/deps/lib/log4j-*'
	rm $(FLINK)/apache-flink-libraries-*.tar.gz
	touch $@

$(FLINK)/job-server.jar: tests/end_to_end/engines/pom.xml
	mvn --batch-mode --quiet --file $< package
	touch $@

build/prism-%:
	GOBIN=$(CURDIR)/build go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$* && mv build/prism $@ \
		|| echo "Prism cannot be built; its tests are skipped."

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Python 3.11 is needed; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(INSTALLED): $(VENV)/bin/uv requirements.lock pyproject.toml setup.py
	$(VENV)/bin/uv pip sync --python $(VENV)/bin/python --require-hashes --compile-bytecode requirements.lock
	$(VENV)/bin/uv pip install --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	touch $@
