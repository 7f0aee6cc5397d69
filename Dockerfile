# web: Django.  worker: the same and OpenVINO, which reads the checkpoint's graph. Neither has TensorFlow: a worker that
# is to answer by it (INFERENCE_ENGINE=tensorflow) is built with --build-arg WORKER_REQUIREMENTS=requirements.txt
# pgbouncer: between both and PostgreSQL.

FROM debian:bookworm-slim AS pgbouncer
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends pgbouncer && rm -r /var/lib/apt/lists/*
COPY pneumonia_site/pgbouncer.ini /etc/pgbouncer/shared.ini
RUN printf '%s\n' '[databases]' '* = host=postgres port=5432' '%include /etc/pgbouncer/shared.ini' \
    'listen_addr = 0.0.0.0' 'listen_port = 6432' 'unix_socket_dir =' 'auth_file = /tmp/users' > /etc/pgbouncer/site.ini
# As root it refuses to run; the package made this user.
USER postgres
EXPOSE 6432
CMD ["sh", "-c", "umask 077 && printf '\"%s\" \"%s\"\\n' \"$POSTGRES_USER\" \"$POSTGRES_PASSWORD\" > /tmp/users && exec pgbouncer /etc/pgbouncer/site.ini"]

FROM python:3.11-slim-trixie AS packages-web
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements-web.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements-web.txt

FROM packages-web AS packages-worker
ARG WORKER_REQUIREMENTS=requirements-serve.txt
COPY requirements-serve.txt requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r ${WORKER_REQUIREMENTS}

FROM python:3.11-slim-trixie AS site
RUN useradd --uid 10001 --create-home site && install -d -o site -g site /srv/var /srv/var/media
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SITE_MODE=full \
    VAR_DIR=/srv/var \
    STATIC_ROOT=/srv/static
WORKDIR /srv/site
COPY . .
# Once, instead of at each start.
RUN python -m compileall -q manage.py pneumonia_site diagnosis ml

FROM site AS web
# Chinese, Japanese and Korean for reports, which bring fonts for the other common scripts along. For backups the programs
# of PostgreSQL 17, the one of docker-compose.yml, which trixie has.
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends fonts-droid-fallback postgresql-client-17 \
    && rm -r /var/lib/apt/lists/*
COPY --from=packages-web /opt/venv /opt/venv
# Collecting needs no secrets: embedded mode makes a key of its own, thrown away with its folder.
RUN SITE_MODE=embedded VAR_DIR=/tmp/collecting python manage.py collectstatic --no-input --verbosity 0 \
    && rm -r /tmp/collecting
USER site
EXPOSE 8000
CMD ["gunicorn", "pneumonia_site.wsgi", "--config", "python:pneumonia_site.gunicorn_conf", "--bind", "0.0.0.0:8000", \
     "--workers", "2", "--worker-class", "gthread", "--threads", "4", "--no-control-socket", "--worker-tmp-dir", "/dev/shm"]

FROM site AS worker
COPY --from=packages-worker /opt/venv /opt/venv
ENV TF_CPP_MIN_LOG_LEVEL=2
USER site
CMD ["python", "manage.py", "run_worker"]
