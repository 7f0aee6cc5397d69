"""Configuration of the pneumonia site; the domain lives in diagnosis."""

# Imported here so that Celery's app exists wherever Django does, in the web process that only sends tasks too.
from pneumonia_site.celery import app as celery_app

__all__ = ["celery_app"]
