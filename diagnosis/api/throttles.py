"""How often one user may ask the API in a minute; uploads and all else are counted apart."""

from rest_framework.request import Request

from diagnosis.throttles import PerMinute


class UploadThrottle(PerMinute):
    """Uploads."""

    scope = "api-uploads"
    setting = "API_UPLOADS_PER_MINUTE"

    def counts(self, request: Request) -> bool:
        """Count what brings a picture."""
        return request.method == "POST"


class ReadThrottle(PerMinute):
    """Everything but uploads."""

    scope = "api-reads"
    setting = "API_READS_PER_MINUTE"

    def counts(self, request: Request) -> bool:
        """Count the rest."""
        return request.method != "POST"
