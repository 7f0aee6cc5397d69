"""The door for the web server: `gunicorn pneumonia_site.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumonia_site.settings")

application = get_wsgi_application()
