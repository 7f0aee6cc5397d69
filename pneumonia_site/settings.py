"""All settings, read from the environment; what is missing or impossible is said at once, with a hint.

SITE_MODE chooses between two ways to run the same code:
    embedded   one machine, no services: SQLite, a broker made of files, everything under VAR_DIR
    full       PostgreSQL, Redis, any number of hosts; .env.example names every variable
"""

import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from diagnosis.operating.lines import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

S3_VARIABLES = (
    "MEDIA_S3_BUCKET",
    "MEDIA_S3_ENDPOINT_URL",
    "MEDIA_S3_REGION",
    "MEDIA_S3_PREFIX",
    "MEDIA_S3_ADDRESSING_STYLE",
    "MEDIA_S3_ENCRYPTION",
    "MEDIA_S3_KMS_KEY_ID",
)


def _required(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set, and SITE_MODE=full needs it. .env.example says what it is for and shows an example."
        )
    return value


def _whole_number(name: str, default: int, minimum: int = 1) -> int:
    given = os.environ.get(name, "").strip()
    try:
        value = int(given) if given else default
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise ImproperlyConfigured(f"{name} is {given!r}; it has to be a whole number of at least {minimum}.")
    return value


def _list(name: str, default: list[str]) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()] or default


def _switch(name: str, default: bool) -> bool:
    given = os.environ.get(name, "").strip().lower()
    if not given:
        return default
    if given not in {"true", "false"}:
        raise ImproperlyConfigured(f"{name} is {given!r}; it has to be true or false.")
    return given == "true"


def _path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name, "").strip() or default).expanduser().resolve()


def _secret_key_in(folder: Path) -> str:
    """Give the secret key kept in `folder`; the first call makes it. Two processes at once get the same one."""
    path = folder / "secret_key"
    if not path.exists():
        temporary = folder / f"secret_key.{os.getpid()}"
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_urlsafe(64))
        try:
            # A link fails where the name exists, so the first of two processes wins and nobody reads half a key.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text()


def _bucket() -> dict[str, Any] | None:
    """Give the storage that MEDIA_S3_BUCKET and its like ask for; None: files stay in MEDIA_ROOT.

    The keys are those of every program of Amazon's, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them boto3
    looks where it always does, such as the role of the host.
    """
    given = {name: os.environ.get(name, "").strip() for name in S3_VARIABLES}
    bucket, endpoint = given["MEDIA_S3_BUCKET"], given["MEDIA_S3_ENDPOINT_URL"]
    encryption, key = given["MEDIA_S3_ENCRYPTION"], given["MEDIA_S3_KMS_KEY_ID"]
    if not bucket:
        if alone := [name for name in S3_VARIABLES if given[name]]:
            raise ImproperlyConfigured(f"{alone[0]} is set, but MEDIA_S3_BUCKET, which it describes, is not.")
        return None
    style = given["MEDIA_S3_ADDRESSING_STYLE"] or ("path" if endpoint else "auto")
    for name, is_possible, hint in (
        ("MEDIA_S3_BUCKET", re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket), "the name of a bucket"),
        ("MEDIA_S3_ENDPOINT_URL", re.fullmatch(r"(https?://[^/\s]+/?)?", endpoint), "like https://s3.example.org"),
        ("MEDIA_S3_ADDRESSING_STYLE", style in {"auto", "path", "virtual"}, "auto, path or virtual"),
        ("MEDIA_S3_ENCRYPTION", encryption in {"", "AES256", "aws:kms"}, "AES256 or aws:kms"),
        ("MEDIA_S3_KMS_KEY_ID", not key or encryption == "aws:kms", "empty unless MEDIA_S3_ENCRYPTION is aws:kms"),
    ):
        if not is_possible:
            raise ImproperlyConfigured(f"{name} is {given[name]!r}; it has to be {hint}.")
    if os.environ.get("MEDIA_ROOT", "").strip():
        raise ImproperlyConfigured(
            "MEDIA_ROOT and MEDIA_S3_BUCKET are both set; files have one place: unset the other."
        )
    if bool(os.environ.get("AWS_ACCESS_KEY_ID")) != bool(os.environ.get("AWS_SECRET_ACCESS_KEY")):
        raise ImproperlyConfigured("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; only one of them is set.")
    parameters = {"ServerSideEncryption": encryption, "SSEKMSKeyId": key}
    return {
        "BACKEND": "diagnosis.bucket.BucketStorage",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": given["MEDIA_S3_PREFIX"].strip("/"),
            "endpoint_url": endpoint or None,
            "region_name": given["MEDIA_S3_REGION"] or None,
            "addressing_style": style,
            "object_parameters": {name: value for name, value in parameters.items() if value},
        },
    }


SITE_MODE = os.environ.get("SITE_MODE", "").strip() or "embedded"
if SITE_MODE not in {"embedded", "full"}:
    raise ImproperlyConfigured(f"SITE_MODE is {SITE_MODE!r}; it has to be 'embedded' or 'full'.")
EMBEDDED = SITE_MODE == "embedded"

if EMBEDDED:
    for _name in ("DATABASE_URL", "CELERY_BROKER_URL", "MEDIA_S3_BUCKET"):
        if os.environ.get(_name, "").strip():
            raise ImproperlyConfigured(
                f"{_name} is set, but SITE_MODE is 'embedded', which keeps everything in files. "
                f"Set SITE_MODE=full to use it, or unset {_name}."
            )

# Where it runs -------------------------------------------------------------------------------------------------------

VAR_DIR = _path("VAR_DIR", BASE_DIR / "var")
MEDIA_ROOT = _path("MEDIA_ROOT", VAR_DIR / "media")
STATIC_ROOT = _path("STATIC_ROOT", VAR_DIR / "static")

DEBUG = False
ROOT_URLCONF = "pneumonia_site.urls"
WSGI_APPLICATION = "pneumonia_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if EMBEDDED:
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    SECRET_KEY = _secret_key_in(VAR_DIR)
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *_list("ALLOWED_HOSTS", [])]
    DATABASES: dict[str, dict[str, Any]] = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            "OPTIONS": {
                # The web and the worker write at the same time: readers don't block in WAL, and a transaction that is
                # going to write waits at its start (IMMEDIATE) instead of failing in its middle.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    }
    # One web process only (run_embedded sees to it), so a cache in its memory counts every failed log-in.
    CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CELERY_BROKER_URL = "filesystem://localhost//"  # the host means nothing, but without one Kombu warns
else:
    SECRET_KEY = _required("SECRET_KEY")
    _required("ALLOWED_HOSTS")
    ALLOWED_HOSTS = _list("ALLOWED_HOSTS", [])
    if not _required("DATABASE_URL").startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL has to look like postgres://user:password@host:5432/name.")
    try:
        DATABASES = {"default": env.db("DATABASE_URL")}
    except ValueError:
        # Without what the parser says: it quotes what it takes for the port, and that may be the password.
        raise ImproperlyConfigured(
            "DATABASE_URL can't be read; it looks like postgres://user:password@host:5432/name, "
            "with special characters of the password written as %40 and the like."
        ) from None
    # DATABASE_POOLED: DATABASE_URL leads to PgBouncer, which gives each transaction a session of its own, so that no
    # cursor may outlive one. Connections are kept all the same: one to PgBouncer costs next to nothing.
    DATABASES["default"] |= {
        "CONN_MAX_AGE": _whole_number("DATABASE_CONNECTION_SECONDS", 60, minimum=0),
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": _switch("DATABASE_POOLED", default=False),
    }
    CELERY_BROKER_URL = _required("CELERY_BROKER_URL")
    if not CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
        raise ImproperlyConfigured("CELERY_BROKER_URL has to be a Redis URL; it looks like redis://host:6379/0.")
    # Redis answers within a millisecond. One that hangs costs an upload five such time-outs, and a person waits for
    # them; a worker, for whom nobody waits, has none (pneumonia_site/celery.py).
    REDIS_SECONDS = 1
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ.get("CACHE_URL", "").strip()
            or urlsplit(CELERY_BROKER_URL)._replace(path="/1").geturl(),
            "KEY_PREFIX": "pneumonia_site",
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": REDIS_SECONDS},
        }
    }

# Apps and pages ------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # the URLs load the admin's pages: a worker has none
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Before staticfiles, so that `runserver` serves static files as every other server does.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "crispy_forms",
    "crispy_bootstrap5",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # the assets of the API's page, served from here
    "django_cleanup.apps.CleanupConfig",  # a deleted row takes its files along, however it was deleted
    "diagnosis",
]

MIDDLEWARE = [
    # First, so that they see whatever all others answer.
    "diagnosis.operating.requests.RequestsAreNamedAndCounted",
    "diagnosis.api.problems.ProblemsOfTheApi",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    # Needs the person who is signed in, and comes before whatever may answer with a page.
    "diagnosis.localisation.PersonsLanguageAndTimeZone",
    "diagnosis.middleware.AwayMiddleware",
    "diagnosis.middleware.TooManyTriesMiddleware",
    "diagnosis.middleware.NoNulMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

# Sessions that know their user, so that they end with the account.
SESSION_ENGINE = "diagnosis.sessions"

# For whoever chose nothing and whose browser says nothing, for programs, for workers and commands.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "diagnosis" / "locale"]
FORMAT_MODULE_PATH = ["diagnosis.formats"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Uploads have no public URL: a view that knows the owner hands them out.
STORAGES = {
    "default": _bucket()
    or {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"file_permissions_mode": 0o640}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# The collected files are for every user of the host, such as the one that runs the web image.
FILE_UPLOAD_PERMISSIONS = 0o644

# Accounts ------------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["diagnosis.sign_in.SignIn"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [{"NAME": "diagnosis.sign_in.TokenGoesWithPassword"}]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "diagnosis:scan_list"
ACCOUNT_LOGOUT_REDIRECT_URL = "diagnosis:home"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none" if EMBEDDED else "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# How many reverse proxies of the operator's own stand in front; only theirs is an X-Forwarded-For to believe.
ALLAUTH_TRUSTED_PROXY_COUNT = _whole_number("TRUSTED_PROXY_COUNT", 0, minimum=0)

# On this machine mail is found in the log; elsewhere a log is no place for addresses and links to new passwords.
NO_MAIL = "consolemail://" if EMBEDDED else "dummymail://"
try:
    vars().update(env.email_url_config(os.environ.get("EMAIL_URL", "").strip() or NO_MAIL))
except (environ.ImproperlyConfigured, KeyError, ValueError):
    raise ImproperlyConfigured("EMAIL_URL can't be read; it looks like smtp+tls://user:password@host:587.") from None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "").strip() or "pneumonia-site@localhost"

# Security ------------------------------------------------------------------------------------------------------------

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS", [])
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap draws its arrows and ticks as data: pictures
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
    }
}

# What no page needs, no page may ask for, nor a frame in it: a browser's every device.
PERMISSIONS_POLICY: dict[str, list[str]] = {
    feature: []
    for feature in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "encrypted-media",
        "geolocation",
        "gyroscope",
        "hid",
        "idle-detection",
        "local-fonts",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
}

# Full mode is served over HTTPS unless the operator says otherwise; embedded mode is plain HTTP on this machine.
SITE_HTTPS = _switch("SITE_HTTPS", default=not EMBEDDED)
SECURE_SSL_REDIRECT = SITE_HTTPS
SESSION_COOKIE_SECURE = SITE_HTTPS
CSRF_COOKIE_SECURE = SITE_HTTPS
LANGUAGE_COOKIE_SECURE = SITE_HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SITE_HTTPS else 0
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked over plain HTTP from inside the host
if ALLAUTH_TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# HSTS for subdomains and preloading bind the operator's whole domain: not a decision of this software.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# Scans and predictions -----------------------------------------------------------------------------------------------

MODEL_CHECKPOINT = _path("MODEL_CHECKPOINT", BASE_DIR / "ml" / "weights")
# Empty: openvino for a checkpoint that has a graph, else tensorflow.
INFERENCE_ENGINE = os.environ.get("INFERENCE_ENGINE", "").strip()
if INFERENCE_ENGINE not in {"", "openvino", "tensorflow"}:
    raise ImproperlyConfigured(f"INFERENCE_ENGINE is {INFERENCE_ENGINE!r}; it has to be openvino, tensorflow or empty.")

INTAKE_MAX_BYTES = _whole_number("INTAKE_MAX_BYTES", 25 * 1024 * 1024)
INTAKE_MAX_PIXELS = _whole_number("INTAKE_MAX_PIXELS", 32_000_000)
INTAKE_MIN_SIDE = _whole_number("INTAKE_MIN_SIDE", 64)  # pixels
INTAKE_DECODING_SECONDS = _whole_number("INTAKE_DECODING_SECONDS", 5)  # of computing, to decode one file
UPLOAD_MAX_FILES = _whole_number("UPLOAD_MAX_FILES", 100)  # chosen one by one, in a folder or in archives
UPLOAD_MAX_BYTES = _whole_number("UPLOAD_MAX_BYTES", 200 * 1024 * 1024)  # of one upload; it is held in memory
UPLOAD_MAX_UNPACKED_BYTES = _whole_number("UPLOAD_MAX_UNPACKED_BYTES", 1024 * 1024 * 1024)  # of one upload's archives
UPLOAD_MAX_SECONDS = _whole_number("UPLOAD_MAX_SECONDS", 50)  # to take the files in while a person and a proxy wait
# Uploads of one person on the page in a minute, each of one file or of many.
UPLOADS_PER_MINUTE = _whole_number("UPLOADS_PER_MINUTE", 60)
# So many uploads may wait for the workers; a further one is asked to come back. 0: any number. As many as one worker on
# two cores answers in some minutes; while the workers are away it is what is taken on trust.
UPLOADS_WAITING = _whole_number("UPLOADS_WAITING", 5000, minimum=0)
# Never a temporary file: a DICOM file names its patient.
FILE_UPLOAD_HANDLERS = ["diagnosis.upload_handlers.InMemoryUploadHandler"]
# Django's own limit answers with a bare 400; ours is explained by the form.
DATA_UPLOAD_MAX_NUMBER_FILES = max(100, 2 * UPLOAD_MAX_FILES)

PREDICTION_HARD_TIME_LIMIT = _whole_number("PREDICTION_HARD_TIME_LIMIT", 120)  # seconds
PREDICTION_SOFT_TIME_LIMIT = 0.9 * PREDICTION_HARD_TIME_LIMIT
PREDICTION_MAX_ATTEMPTS = _whole_number("PREDICTION_MAX_ATTEMPTS", 3)
# Queued or running for longer than this counts as lost; above the time after which Redis itself delivers again.
PREDICTION_STALE_SECONDS = _whole_number("PREDICTION_STALE_SECONDS", 5 * PREDICTION_HARD_TIME_LIMIT)

# CPU threads of a worker's model; 0: as many as there are cores. Where several workers share a machine, give each its
# part of the cores.
INFERENCE_THREADS = _whole_number("INFERENCE_THREADS", 0, minimum=0)

# How many readers each answer should have: 1, or 2, of whom the second does not see what the first said.
REVIEW_READERS = _whole_number("REVIEW_READERS", 1)
if REVIEW_READERS > 2:
    raise ImproperlyConfigured(f"REVIEW_READERS is {REVIEW_READERS}; it has to be 1 or 2.")

# The worker touches it when it has loaded the model.
WORKER_READY_FILE = VAR_DIR / "worker.ready"
# It says there, for the dashboard, which version it has in use.
WORKER_MODEL_FILE = VAR_DIR / "worker.model"
# It touches it every few seconds, in embedded mode; in full mode it tells the broker.
WORKER_ALIVE_FILE = VAR_DIR / "worker.alive"

# How long a scan is kept (days), then it is erased with all that belongs to it. None: until somebody deletes it.
RETENTION_DAYS = None
if os.environ.get("RETENTION_DAYS", "").strip():
    RETENTION_DAYS = _whole_number("RETENTION_DAYS", 0)
    if RETENTION_DAYS > 36_500:
        raise ImproperlyConfigured(f"RETENTION_DAYS is {RETENTION_DAYS}, more than a century; leave it empty instead.")

# Downloads of whole histories: how many at once in a web process, whose other threads stay free for pages, and how long
# (seconds) one may take before it is cut off.
EXPORTS_AT_ONCE = _whole_number("EXPORTS_AT_ONCE", 2)
EXPORT_MAX_SECONDS = _whole_number("EXPORT_MAX_SECONDS", 1800)

# The API for programs ------------------------------------------------------------------------------------------------

# Of one user in a minute.
API_UPLOADS_PER_MINUTE = _whole_number("API_UPLOADS_PER_MINUTE", 60)
API_READS_PER_MINUTE = _whole_number("API_READS_PER_MINUTE", 600)

REST_FRAMEWORK = {
    # Tokens only: a session would let another site's page act for the person who is signed in.
    "DEFAULT_AUTHENTICATION_CLASSES": ["diagnosis.api.authentication.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": [
        "diagnosis.api.throttles.UploadThrottle",
        "diagnosis.api.throttles.ReadThrottle",
        "diagnosis.throttles.Waiting",
    ],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.MultiPartParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "diagnosis.api.negotiation.JsonForAll",
    "DEFAULT_PAGINATION_CLASS": "diagnosis.api.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "diagnosis.api.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "multipart",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Chest X-ray reader",
    "VERSION": "1",
    "DESCRIPTION": (
        "Give it a frontal chest X-ray of a child; read NORMAL or PNEUMONIA with a calibrated probability, the model "
        "version that said so, and where it looked.\n\n"
        "**For education and research. Not a medical device: never use an answer to decide about a person's care.**\n\n"
        "1. Make a token on your account page, and send it with every request: `Authorization: Bearer TOKEN`.\n"
        "2. `POST` a picture to `/api/v1/scans/`.\n"
        "3. `GET` the address in `Location` after `Retry-After` seconds, until `latest_prediction.state` is SUCCEEDED "
        "(with a label and a probability) or FAILED (with the reason).\n\n"
        "Every error is problem details (RFC 9457): `code` is for programs, `detail` for people. Sentences are in "
        "English and times in UTC, whatever a request accepts; codes are there to be said in other languages. Unknown "
        "filters of a list and unknown fields of a body are refused, not ignored. Scans of others are answered with "
        "404, as if they were not there."
    ),
    "LICENSE": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    "TAGS": [
        {"name": "scans", "description": "Give scans, read their answers, delete them."},
        {"name": "model-versions", "description": "Which versions of the model answer, and how good each is."},
    ],
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_NO_READ_ONLY_REQUIRED": False,
    "ENUM_NAME_OVERRIDES": {
        "State": "diagnosis.states.State",
        "Label": "diagnosis.models.Label",
        "Verdict": "diagnosis.models.Verdict",
        "Trigger": "diagnosis.states.Trigger",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "diagnosis.api.document.close_bodies",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": None,
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": -1, "displayRequestDuration": True},
}

# Celery: a task is a hint that carries an id, the database holds the truth -------------------------------------------

CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = PREDICTION_SOFT_TIME_LIMIT
CELERY_TASK_TIME_LIMIT = PREDICTION_HARD_TIME_LIMIT
CELERY_WORKER_CONCURRENCY = 1  # one loaded model per process; more workers are the way to scale
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Celery would open a connection to the database for each task; celery.py keeps one, as requests do. The whole name is
# what it looks for.
CELERY_DB_REUSE_MAX = sys.maxsize
# Nobody sends commands to the only worker of embedded mode, and in a broker of files they would pile up.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not EMBEDDED
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 120  # a child loads the model before it says that it is up
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker for as long as that is away
# Sending happens while a person waits for the page: give up within seconds, requeue_stale_predictions makes up for it.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
# Every worker serves both, and takes a batch's message only while no person's waits; `run_worker --queues people` keeps
# one for people alone. Over Redis the order of the names decides, see queue_order_strategy below; a broker of files
# gives from the two by turns.
QUEUE_OF_PEOPLE, QUEUE_OF_BATCHES = "people", "reprocess"
CELERY_TASK_QUEUES = [Queue(QUEUE_OF_PEOPLE), Queue(QUEUE_OF_BATCHES)]
CELERY_TASK_DEFAULT_QUEUE = QUEUE_OF_PEOPLE
CELERY_BEAT_SCHEDULER = "pneumonia_site.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "requeue-stale-predictions": {"task": "diagnosis.tasks.requeue_stale_predictions", "schedule": 60.0},
    "erase-expired-scans": {
        "task": "diagnosis.tasks.erase_expired_scans",
        "schedule": crontab(hour=3, minute=0),
        "options": {"queue": QUEUE_OF_BATCHES},
    },
    "forget-expired-sessions": {
        "task": "diagnosis.tasks.forget_expired_sessions",
        "schedule": crontab(hour=2, minute=30),
        "options": {"queue": QUEUE_OF_BATCHES},
    },
    "count-days": {"task": "diagnosis.tasks.count_days", "schedule": 300.0},
}
if EMBEDDED:
    BROKER_DIR = VAR_DIR / "broker"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "data_folder_in": str(BROKER_DIR / "messages"),
        "data_folder_out": str(BROKER_DIR / "messages"),
        "control_folder": str(BROKER_DIR / "control"),
        "store_processed": False,
        # Somebody waits who looks for the answer several times a second; asking a folder costs next to nothing.
        "polling_interval": 0.2,
    }
    for _folder in ("messages", "control"):
        (BROKER_DIR / _folder).mkdir(parents=True, exist_ok=True)
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "queue_order_strategy": "sorted",
        "visibility_timeout": round(1.1 * PREDICTION_HARD_TIME_LIMIT),
        "socket_connect_timeout": 2,
        "socket_timeout": REDIS_SECONDS,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    }

# Operating it --------------------------------------------------------------------------------------------------------

# JSON for programs that collect logs; in embedded mode a person reads the file.
LOGGING = logging_settings(json=not EMBEDDED)

# Whoever sends it as `Authorization: Bearer TOKEN` may read /metrics. Empty: nobody.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "").strip()
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured(
        "METRICS_TOKEN is too short to be secret; make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
    )
