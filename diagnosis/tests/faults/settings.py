"""The site's settings for the processes of these tests: stages at which they can be struck, and less patience."""

from pneumonia_site.settings import *  # noqa: F403
from pneumonia_site.settings import (
    CELERY_BEAT_SCHEDULE,
    CELERY_BROKER_TRANSPORT_OPTIONS,
    EMBEDDED,
    INSTALLED_APPS,
    STORAGES,
)

INSTALLED_APPS = [*INSTALLED_APPS, "diagnosis.tests.faults"]
CELERY_BEAT_SCHEDULE = CELERY_BEAT_SCHEDULE | {
    "requeue-stale-predictions": CELERY_BEAT_SCHEDULE["requeue-stale-predictions"] | {"schedule": 1.0}
}
# Nobody here looks at a page with its styles, and to compress them takes longer than most tests.
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
# A process that is held at a stage is not what took too long.
CELERY_TASK_SOFT_TIME_LIMIT, CELERY_TASK_TIME_LIMIT = 60, 65
# How long a worker waits for the last words of a process that was killed.
CELERY_WORKER_LOST_WAIT = 0.5
if EMBEDDED:
    CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {"polling_interval": 0.1}
