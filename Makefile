# Everything a person or CI does with this repository; `make` alone lists it.
# Needs Python 3.11 to 3.13, make and git; uv is brought into .cache/ when it is missing.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# More arguments for a target's program, e.g. make up ARGS="--devices 100", make test ARGS="-k windows".
ARGS ?=
# What `make test` chooses: what runs on any machine within 5 minutes. `make real` runs the slow ones and those on a real
# Kafka, `make browser` those in Chromium; the long ones run on demand (CONTRIBUTING.md).
MARKS ?= not real_kafka and not browser and not slow and not long

# Python keeps what it has compiled, also where the environment says not to: a part that a test starts would compile
# all that it imports anew, which takes longer than the rest of its start.
unexport PYTHONDONTWRITEBYTECODE

# Test files that run at once: they wait more than they compute, those on a real Kafka most. 0: one after the other. A test
# that ends its process ends the run, by its name. tests/conftest.py begins with the longest files.
test: WORKERS ?= 3
real: WORKERS ?= 4
browser: WORKERS ?= 2
AT_ONCE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# The Python that is installed, not one that is fetched; an existing .venv keeps its own.
export UV_PYTHON_DOWNLOADS ?= never
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON := $(shell for python in .venv/bin/python python3 python3.13 python3.12 python3.11; do \
	$$python -c "$(SUPPORTED)" 2>/dev/null && { command -v $$python; break; }; done)
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .cache/uv/bin/uv)
ifeq ($(wildcard .venv/bin/python),)
export UV_PYTHON ?= $(PYTHON)
endif
RUN := $(UV) run --frozen

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: tools ## install everything for working on it into .venv
	@$(UV) sync --frozen
	@for need in "java:make real" "mvn:make real" "chromium:make browser" "node:make test"; do \
		command -v "$${need%%:*}" >/dev/null || echo "$${need%%:*} is not there: $${need#*:} skips what needs it"; done

.PHONY: up
up: tools ## run everything on this machine, with the settings in .env if it is there; the page is at http://localhost:8050
	@mkdir -p .cache/tmp # uv leaves a lock file among the temporary ones
	@TMPDIR=$(CURDIR)/.cache/tmp $(RUN) --no-dev $(if $(wildcard .env),--env-file .env) sensorbus up $(ARGS)

.PHONY: test
test: tools js ## run the quick tests that need neither a real Kafka nor a browser; say what did not run
	@$(RUN) pytest $(AT_ONCE) -m "$(MARKS)" $(ARGS)

.PHONY: js
js: ## run the tests of the page's scripts
	@files=$$(compgen -G 'tests/js/*.test.*js' || true); \
	if [[ -z "$$files" ]]; then :; \
	elif command -v node >/dev/null; then node --test --test-reporter=spec $$files; \
	else echo "did not run: tests/js; they need node"; fi

.PHONY: real
real: tools ## run the tests on a real Kafka, and the slow ones
	@$(RUN) pytest $(AT_ONCE) -m "(real_kafka or slow) and not browser and not long" $(ARGS)

.PHONY: faults
faults: tools ## do a seeded mix of faults to a bus on a real Kafka; SEED=7 MINUTES=1, 10 if not given, ARGS="--help" for more
	@$(RUN) python -m tests.support.faults $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),10) $(ARGS)

.PHONY: soak
soak: tools ## run 1000 devices on a real Kafka with a fault every minute, and watch results and memory; MINUTES=60
	@$(RUN) python -m tests.support.soak --minutes $(or $(MINUTES),60) $(ARGS)

.PHONY: check
check: tools ## lint, formatting, types
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy

.PHONY: browser
browser: tools ## run the tests that drive a real browser
	@for folder in tests/js deploy/plotly; do \
		[[ -d $$folder/node_modules ]] || ! command -v npm >/dev/null || npm ci --silent --prefix $$folder; done
	@$(RUN) pytest $(AT_ONCE) -m browser $(ARGS)

.PHONY: plotly
plotly: ## make the page's first visit smaller, as the image does: plotly.js with what the page draws alone (npm)
	@npm ci --silent --prefix deploy/plotly
	@mkdir -p dashboard_app/assets/vendor
	@cp deploy/plotly/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js dashboard_app/assets/vendor/

.PHONY: bench
bench: tools ## run the benchmarks, one after the other; the jobs' contenders on Apache Kafka, where Java and Maven are
	@real=$$($(RUN) python -c "from tests.support.real_kafka import why_not; print(why_not() or '--real')"); \
	[[ "$$real" == --real ]] || { echo "bench_windows runs on the embedded broker alone: $$real"; real=; }; \
	for file in tests/bench/bench_*.py; do \
		module=$${file%.py}; options=; [[ "$$file" != */bench_windows.py ]] || options=$$real; \
		echo "== $$file $$options"; $(RUN) --group bench python -m "$${module//\//.}" $$options; \
	done; \
	echo "== a storm: every reading is an alert"; \
	$(RUN) --group bench python -m tests.bench.bench_windows $$real --hot 1 --only alert:

.PHONY: kafka
kafka: tools ## bring the Apache Kafka that the tests start (Java and Maven)
	@$(RUN) python -m tests.support.real_kafka

# The version is whole: @2 would be 2.0.0. Without --strict it says that all is well when it cannot ask.
PIP_AUDIT := pip-audit@2.10.1

.PHONY: audit
audit: tools ## ask PyPI for known holes in what the image installs; sbom.cdx.json lists it
	@mkdir -p .cache
	@$(UV) export --frozen --no-dev --quiet --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.cdx.json >/dev/null
	@$(UV) export --frozen --no-dev --quiet --no-emit-project --output-file .cache/requirements.txt >/dev/null
	@$(UV) tool run $(PIP_AUDIT) --strict --disable-pip --require-hashes --requirement .cache/requirements.txt

.PHONY: docs
docs: tools ## write docs/settings.md and .env.example anew from the table of settings
	@$(RUN) python -m tests.support.write_settings_docs

.PHONY: clean
clean: ## remove what the targets above have made
	@rm -rf dashboard_app/assets/vendor .venv .cache .sensorbus .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build tests/artifacts sbom.cdx.json
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: tools
tools:
	@[[ -n "$(PYTHON)" ]] || { echo "make: no Python 3.11, 3.12 or 3.13 found on the PATH; install one of them" >&2; exit 1; }
	@[[ "$(UV)" == uv || -x "$(UV)" ]] || { "$(PYTHON)" -m venv .cache/uv && .cache/uv/bin/pip install --quiet --require-hashes -r deploy/uv.txt; }
