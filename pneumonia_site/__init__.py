"""Configuration of the pneumonia site; the domain lives in diagnosis."""

import os

# NumPy's BLAS starts a thread for each core when it is imported, which takes a third of that import, before every first
# page and answer; nothing here multiplies matrices that are large enough for two.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Imported here so that Celery's app exists wherever Django does, in the web process that only sends tasks too.
from pneumonia_site.celery import app as celery_app

__all__ = ["celery_app"]
