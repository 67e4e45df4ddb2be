# Everything a newcomer needs is `make demo`; everything a change needs is `make test`.
# Plain enough for GNU make 3.81 and any POSIX shell.

SHELL = /bin/sh
VENV = .venv
BIN = $(VENV)/bin
NIQUESTS = .venv-niquests
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
RESULTS = .demo/compare.json
PAGE = .demo/compare.html

.PHONY: help demo test lint bench clean

help:
	@echo "make demo   crawl the bookstore over HTTP/1.1 and HTTP/2 and print the comparison"
	@echo "make test   install what the tests need, then lint, type-check and test"
	@echo "make lint   ruff and mypy only"
	@echo "make bench  plait against its peers: server CPU, the crawl, the original experiment"
	@echo "make clean  remove the virtual environment and every generated file"

demo: $(VENV)/.demo-installed
	@mkdir -p .demo
	@$(BIN)/python -m compileall -q src
	@$(BIN)/plait cert >.demo/certificate.txt
	@echo "There is a development certificate; .demo/certificate.txt says where, and how to trust it."
	$(BIN)/plait compare --with requests --blocks 10 --json $(RESULTS) --report $(PAGE)
	@echo "Drawn: $(PAGE); raw samples: $(RESULTS)"

test: $(VENV)/.test-installed lint
	@scripts/install-debian-packages
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.test-installed
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(VENV)/.bench-installed $(NIQUESTS)/.installed
	@scripts/install-debian-packages
	@$(BIN)/python -m compileall -q src benchmarks
	$(BIN)/python -m benchmarks.server_cpu
	$(BIN)/python -m benchmarks.crawl
	$(BIN)/python -m benchmarks.experiment

clean:
	rm -rf $(VENV) $(NIQUESTS) .demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp file for each set of packages: made anew when pyproject.toml changes, and otherwise free.
# The installation is editable, so a change of the code needs no stamp. What pip installs, it compiles
# to bytecode; what is measured is compiled before, so that every process starts on equal terms.

$(VENV)/.created:
	@python=`scripts/find-python` && echo "Creating $(VENV) with $$python" && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.demo-installed: $(VENV)/.created pyproject.toml
	@echo "Installing plait with what the demo needs"
	@$(PIP) install --editable ".[lab]" "requests>=2.32"
	@touch $@

$(VENV)/.test-installed: $(VENV)/.created pyproject.toml
	@echo "Installing plait with what the tests need"
	@$(PIP) install --editable ".[test]"
	@touch $@

$(VENV)/.bench-installed: $(VENV)/.created pyproject.toml
	@echo "Installing plait with what the benchmarks need"
	@$(PIP) install --editable ".[bench]"
	@touch $@

# niquests brings its own package in the place of urllib3, which would be everybody's.
$(NIQUESTS)/.installed: $(VENV)/.created
	@echo "Installing niquests in $(NIQUESTS)"
	@$(BIN)/python -m venv $(NIQUESTS)
	@$(NIQUESTS)/bin/python -m pip --quiet --disable-pip-version-check install "niquests>=3.15"
	@touch $@
