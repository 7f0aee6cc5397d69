# One command, one meaning: `make check` and `make test` are what CI calls.

PYTHON ?= python3
PORT ?= 8000
HOST = 127.0.0.1
SECONDS = 60
ARGS =

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help venv run test fuzz check train bench load messages

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/installed ## Make .venv with everything that runs, training too

run: $(VENV)/installed-serve ## Run the site on this machine: make run PORT=8000
	@exec $(BIN)/python manage.py run_embedded --port $(PORT) --host $(HOST)

test: $(VENV)/installed-dev ## Run all tests: make test ARGS="-k intake"
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/installed-dev ## Change files in search of one that breaks intake: make fuzz SECONDS=3600
	$(BIN)/python -m diagnosis.tests.fuzz -max_total_time=$(SECONDS) -verbosity=0 $(ARGS)

train: $(VENV)/installed ## Train the model: make train ARGS="--data DIR"
	$(BIN)/python -m ml.train $(ARGS)

bench: $(VENV)/installed-bench ## Measure everything into bench/: make bench ARGS="--quick --only engines"
	$(BIN)/python -m bench $(ARGS)

load: $(VENV)/installed-bench ## Let 50 people use the site at once: make load ARGS="--soak"
	$(BIN)/python -m bench.load $(ARGS)

messages: $(VENV)/installed-dev ## Collect the texts to translate, and compile the translations (needs gettext)
	$(BIN)/python manage.py makemessages
	$(BIN)/python manage.py compilemessages --locale es --ignore $(VENV)

$(VENV)/installed-bench: requirements-bench.txt $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

# Full mode with values of no meaning: the checks only look at the settings, nothing is connected to.
FULL_MODE := SITE_MODE=full SITE_HTTPS=true ALLOWED_HOSTS=site.example TRUSTED_PROXY_COUNT=1 \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF \
	DATABASE_URL=postgres://user:password@db.example:5432/name CELERY_BROKER_URL=redis://redis.example:6379/0 \
	EMAIL_URL=smtp+tls://user:password@mail.example:587

check: $(VENV)/installed-dev ## Lint, format, types, security, settings, migrations, OpenAPI document, docker-compose.yml
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive diagnosis ml pneumonia_site manage.py .ci
	$(BIN)/python .ci/audit.py
	$(FULL_MODE) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	@if command -v docker-compose >/dev/null; then \
		echo "docker-compose config"; \
		SECRET_KEY=x POSTGRES_PASSWORD=x ALLOWED_HOSTS=site.example docker-compose config --quiet; \
	else echo "docker-compose is not installed: docker-compose.yml is not checked"; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Empty files that say when the requirements were last installed; each set holds the one before.
SERVE := requirements-serve.txt requirements-web.txt

$(VENV)/installed-serve: $(SERVE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-serve.txt
	@touch $@

$(VENV)/installed: requirements.txt $(SERVE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@ $(VENV)/installed-serve

$(VENV)/installed-dev: requirements-dev.txt requirements.txt $(SERVE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/installed $(VENV)/installed-serve
