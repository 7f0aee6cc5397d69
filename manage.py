#!/usr/bin/env python
"""Run a Django command, with the settings of this project."""

import gc
import importlib
import os
import sys


def main() -> None:
    """Hand the command line to Django."""
    # What is imported stays, and to look for garbage in it takes an eighth of the start; diagnosis.apps ends this.
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumonia_site.settings")
    # Celery's app first, as in a worker: it reads the settings, which may be others that build on this project's.
    importlib.import_module("pneumonia_site")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
