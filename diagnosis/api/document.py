"""What the OpenAPI document says beyond what the serializers say: statuses, headers, problems and examples."""

from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from diagnosis import intake
from diagnosis.api.problems import MEDIA_TYPE, problem
from diagnosis.api.serializers import DISCLAIMER, ProblemSerializer

SCAN_PATH = "/api/v1/scans/0b5d6a43-5a9c-4a3e-9a55-6f0a4f2c1d7e/"
PREDICTION_PATH = f"{SCAN_PATH}predictions/3f0d2c51-93a1-4c8e-8a0e-0f6c1b7a2e94/"
SITE = "https://xray.example.org"
SHA256 = "ff1e35d81b4f" + 52 * "0"

PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("PARSE_ERROR", "The body can't be read.", "Multipart form parse error - Invalid boundary"),
    401: (
        "INVALID_TOKEN",
        "No token was sent (NOT_AUTHENTICATED), or one that opens nothing (INVALID_TOKEN).",
        "This token is wrong, expired or revoked.",
    ),
    403: ("PERMISSION_DENIED", "You may see it, and not do this.", "Only the owner may delete a scan."),
    404: ("NOT_FOUND", "It isn't there, or not for you.", "There is nothing here for you."),
    413: (
        "TOO_LARGE",
        "The file is larger than this site takes.",
        "This file is larger than 25 MB; save the picture as JPEG or scale it down.",
    ),
    415: (
        "UNSUPPORTED_MEDIA_TYPE",
        "The body is no multipart/form-data.",
        'Unsupported media type "text/plain".',
    ),
    422: ("INVALID", "Something given is wrong; `errors` names each field.", 'state: "DONE" is not a valid choice.'),
    429: ("THROTTLED", "Too many requests; wait as `Retry-After` says.", "Request was throttled."),
    503: (
        "STORAGE_AWAY",
        "Nothing is wrong with the file and nothing was kept; send it again after `Retry-After`.",
        "Pictures can't be stored right now, so this one was not kept. Try again in a few minutes.",
    ),
}
REFUSALS = (
    "Something given is wrong: code INVALID, and `errors` names each field. Or the file is none that is read, and the "
    "code says why: EMPTY, NOT_A_PICTURE, UNSUPPORTED_FORMAT, DAMAGED, TOO_SMALL, TOO_MANY_PIXELS, SEVERAL_PAGES, "
    "NOT_FINITE, TOO_INTRICATE, TOO_SLOW, UNSUPPORTED_COMPRESSION; of DICOM files also DICOMDIR, DICOM_DOCUMENT, "
    "WRONG_MODALITY, WRONG_BODY_PART, NOT_FRONTAL, NO_PIXELS, UNSUPPORTED_PIXELS. Later versions may know "
    "further ones."
)
REFUSAL_SENTENCE = f"This file is not a picture; upload the X-ray as {intake.ACCEPTED}."

QUEUED: dict[str, Any] = {
    "id": "3f0d2c51-93a1-4c8e-8a0e-0f6c1b7a2e94",
    "url": SITE + PREDICTION_PATH,
    "scan_url": SITE + SCAN_PATH,
    "state": "QUEUED",
    "label": None,
    "probability": None,
    "confidence": None,
    "threshold": None,
    "uncertain": False,
    "failure": None,
    "quality_issues": [],
    "model_version": {
        "sha256": SHA256,
        "name": "vgg19-robust-3",
        "url": f"{SITE}/api/v1/model-versions/{SHA256}/",
        "card_url": f"{SITE}/models/{SHA256}/",
    },
    "heatmap_url": None,
    "report_url": None,
    "review": None,
    "trigger": "API",
    "requested_at": "2026-03-02T09:14:07.201Z",
    "finished_at": None,
    "milliseconds": None,
    "disclaimer": DISCLAIMER,
}
ANSWERED = QUEUED | {
    "state": "SUCCEEDED",
    "label": "PNEUMONIA",
    "probability": 0.94,
    "confidence": 0.94,
    "threshold": 0.41,
    "heatmap_url": f"{SITE}{PREDICTION_PATH}heatmap/",
    "report_url": f"{SITE}{PREDICTION_PATH}report/",
    "review": {"label": "PNEUMONIA", "agrees": True, "disputed": False, "created_at": "2026-03-02T11:40:12.004Z"},
    "finished_at": "2026-03-02T09:14:07.655Z",
    "milliseconds": 96,
}
REFUSED = QUEUED | {
    "state": "FAILED",
    "failure": {
        "code": "NOT_A_CHEST_XRAY",
        "sentence": "This does not look like a frontal chest X-ray, so the model gives no answer.",
    },
    "report_url": f"{SITE}{PREDICTION_PATH}report/",
    "finished_at": "2026-03-02T09:14:07.655Z",
}


def scan(latest_prediction: dict[str, Any] | None) -> dict[str, Any]:
    """Give a scan as an example."""
    return {
        "id": "0b5d6a43-5a9c-4a3e-9a55-6f0a4f2c1d7e",
        "url": SITE + SCAN_PATH,
        "page_url": SITE + SCAN_PATH.removeprefix("/api/v1"),
        "picture_url": f"{SITE}{SCAN_PATH}picture/",
        "predictions_url": f"{SITE}{SCAN_PATH}predictions/",
        "owner": "alice",
        "reference": "study 7, picture 3",
        "original_name": "chest.png",
        "sha256": "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab",
        "width": 1024,
        "height": 896,
        "quality_issues": [],
        "dicom": None,
        "created_at": "2026-03-02T09:14:07.198Z",
        "latest_prediction": latest_prediction,
    }


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """Describe the errors that an operation may answer with; a missing token and too many requests always."""
    return {(status, MEDIA_TYPE): _described(status) for status in sorted({401, 429, *statuses})}


def _described(status: int) -> OpenApiResponse:
    code, description, detail = PROBLEMS[status]
    more = {"errors": [{"field": "state", "code": "INVALID_CHOICE", "detail": detail[7:]}]} if status == 422 else {}
    return _response(status, description, (code, problem(status, code, detail, "/api/v1/scans/", **more)))


def refusals() -> dict[tuple[int, str], OpenApiResponse]:
    """Describe what is wrong with an upload."""
    image = "This field is required."
    errors = [{"field": "image", "code": "REQUIRED", "detail": image}]
    examples = (
        ("NOT_A_PICTURE", problem(422, "NOT_A_PICTURE", REFUSAL_SENTENCE, "/api/v1/scans/")),
        ("INVALID", problem(422, "INVALID", f"image: {image}", "/api/v1/scans/", errors=errors)),
    )
    return {(422, MEDIA_TYPE): _response(422, REFUSALS, *examples)}


def _response(status: int, description: str, *examples: tuple[str, dict[str, Any]]) -> OpenApiResponse:
    shown = [OpenApiExample(name, value, media_type=MEDIA_TYPE) for name, value in examples]
    return OpenApiResponse(ProblemSerializer, f"{HTTPStatus(status).phrase}. {description}", shown)


def header(name: str, description: str, *statuses: int, kind: type = str, required: bool = True) -> OpenApiParameter:
    """Describe a header of the answers with these statuses."""
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, response=list(statuses), description=description, required=required
    )


RETRY_AFTER = header("Retry-After", "Seconds to wait before the next request.", 429, 503, kind=int)
WHO_TO_BE = header("WWW-Authenticate", "How to say who you are.", 401)


def close_bodies(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Say that a request's body takes no other fields than those named."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False
    return result


class Document(SchemaGenerator):
    """The OpenAPI document, made once in a process: it is open to all, and making it takes a while."""

    _made: dict[str, Any] | None = None

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        """Give the document of all operations, whoever asks."""
        if Document._made is None:
            Document._made = super().get_schema(request=None, public=True)
        return Document._made
