# `make demo`, `make test`, and `make quick` while you write. All create .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE :=  # as images of containers set it: each worker of the tests would compile them all anew

.PHONY: demo test quick lint docs browser measured clean

demo: .venv/all.stamp
	$(BIN)/humandetect detect examples/plaza.mp4 -o out.mp4

# The tests last, so that what they say is the last to be seen; they build the site, too. A file's tests share its servers and
# models: one worker has them. Three for two cores, because tests wait for processes a lot. In their order: the files of the fewest
# tests, which xdist would leave for last, are those of the longest.
test: lint browser
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

# Linters, types, layers, and the tests that start no process and no server and run no model.
quick: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-cov -q --quick

# The tests of the page drive a real browser, those of MQTT ask a real broker: Debian's are installed where that asks for no password,
# elsewhere they skip.
browser:
	@command -v chromium >/dev/null && [ -x /usr/sbin/mosquitto ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium mosquitto; } >/dev/null || \
  echo "no chromium or mosquitto could be installed: the tests of the page and of MQTT will tell" >&2

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages of figures, on a machine that does nothing else meanwhile: six minutes.
measured: .venv/all.stamp
	mkdir -p docs/measured
	for name in startup memory pipeline; do $(BIN)/python benchmarks/$$name.py > docs/measured/$$name.md || exit 1; done

docs: .venv/dev.stamp
	$(BIN)/python -m zensical build --strict

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "humandetect needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/all.stamp: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

.venv/dev.stamp: .venv/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@ .venv/all.stamp

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage* .cache dist site
