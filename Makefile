# Everything a contributor runs, by name. `make` alone lists it.
.DEFAULT_GOAL := help

.PHONY: help
help:  ## Show this list, and what runs only in CI
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nOnly in CI, not in `make check`; what to run here stands behind it:\n'
	@awk '/^# CI: / {sub(/^# CI: /, "  "); print}' $(MAKEFILE_LIST)

# CI: slow tests                                            pytest -m slow
# CI: the site, and CITATION.cff                            make docs citation
# CI: the README's commands, in an environment of their own .ci/run
# CI: one prediction, with the lowest versions admitted     .ci/run
# CI: all tests with the newest versions, and weekly        .ci/run, on Python 3.11 and 3.12
# CI: known vulnerabilities and a list of parts, weekly     make audit sbom

.PHONY: install
install:  ## Install the package in place with what development needs
	pip install -e ".[dev,docs]"

.PHONY: format
format:  ## Rewrite the sources in the project's style
	ruff check --fix
	ruff format

.PHONY: lint
lint:  ## Check style, formatting, lengths, file sizes and stray keys
	ruff check
	ruff format --check
	git ls-files -z | xargs -0 python .ci/guard.py

.PHONY: types
types:  ## Check the types of the package
	mypy

.PHONY: imports
imports:  ## Check that no module imports from a floor above its own
	lint-imports

.PHONY: test
test:  ## Run the fast tests
	pytest

.PHONY: test-all
test-all:  ## Run the slow tests too
	pytest -m "not gpu and not network"

.PHONY: fuzz
fuzz:  ## Send REST 10,000 broken pictures and 5,000 malformed requests; read 5,000 broken tables
	cd tests && PYTHONPATH=.. python -W ignore -m fuzz

.PHONY: hostile
hostile:  ## Try what strangers, signals and second writers may try, and print how much got through
	cd tests && PYTHONPATH=.. python -W ignore -m hostile

.PHONY: smoke-train
smoke-train:  ## Train on drawn lesions, about a minute on a CPU
	python train_accelerate.py --preset smoke

.PHONY: app
app:  ## Serve the app with the released checkpoint
	python app.py

.PHONY: bench
bench:  ## Print the speed tables
	for script in benchmarks/bench_*.py; do python $$script || exit 1; done

.PHONY: docs
docs:  ## Build the site into build/site, with warnings as errors: pip install -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict

.PHONY: citation
citation:  ## Validate CITATION.cff; the validator wants an environment of its own
	python -m venv build/cffconvert
	build/cffconvert/bin/pip install --quiet cffconvert==2.0.0
	build/cffconvert/bin/cffconvert --validate

.PHONY: sbom
sbom:  ## List what is installed, with licences, as CycloneDX: sbom.json
	cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file sbom.json

.PHONY: audit
audit:  ## Ask PyPI for known vulnerabilities of what is installed
	pip-audit --skip-editable

MODEL ?= hub/dermsim-ham10000
OUT ?= runs/protocols

.PHONY: protocols
protocols:  ## Measure MODEL by the protocols: DATA=, SHIFT=, FAR=, FOUR= (trained on four), LEFT_OUT= (one left out each)
	mkdir -p $(OUT)
	dermsim protocol retrieval $(MODEL) --data $(DATA) --shift $(SHIFT) --output $(OUT)/retrieval.json
	dermsim protocol ambiguity $(MODEL) --data $(DATA) --output $(OUT)/ambiguity.json
	dermsim protocol unfamiliar $(MODEL) --data $(DATA) $(LEFT_OUT:%=--also %) --shift $(SHIFT) \
	    --far $(FAR) --output $(OUT)/unfamiliar.json
	dermsim protocol few-shot $(FOUR) --data $(DATA) --output $(OUT)/few-shot.json
	dermsim protocol incremental $(FOUR) --data $(DATA) --classes akiec vasc df \
	    --output $(OUT)/incremental.json
	dermsim atlas info --model $(MODEL) --data $(DATA) --split test --json > $(OUT)/atlas.json

.PHONY: check
check: lint types imports test  ## Run what must pass before a commit: style, types, imports, fast tests
