"""How rows look as JSON, and what is taken from outside."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from diagnosis import intake, quality
from diagnosis.api.paging import PageQuery, Strict
from diagnosis.dicom.kept import MODALITIES, PHOTOMETRIC, VIEWS
from diagnosis.models import Label, ModelVersion, Prediction, Scan, ScanQuerySet, Verdict
from diagnosis.states import FailureReason, State, Trigger

DISCLAIMER = (
    "For education and research only. Not a medical device: never use an answer to decide about a person's care. "
    "The model learnt from frontal chest X-rays of children aged 1-5 years in one hospital, and knows of no others."
)


class Address(serializers.URLField):
    """An absolute address of this site: of the view `view`, with arguments from the row by `arguments`."""

    def __init__(self, view: str, arguments: dict[str, str], *, when: str = "", **kwargs: Any) -> None:
        super().__init__(read_only=True, source="*", allow_null=bool(when), **kwargs)
        self.view, self.arguments, self.when = view, arguments, when

    def to_representation(self, row: Any) -> str | None:  # type: ignore[override]
        """Give it; None where the field or property `when` of the row is empty."""
        if self.when and not getattr(row, self.when):
            return None
        arguments = {name: getattr(row, field) for name, field in self.arguments.items()}
        return reverse(self.view, kwargs=arguments, request=self.context["request"])


class CodeSerializer(serializers.Serializer):
    """A code for programs, and the sentence for people. Later versions may know further codes."""

    code = serializers.CharField()
    sentence = serializers.CharField()


class ModelVersionSerializer(serializers.ModelSerializer):
    """A version of the model: its operating point, and where to read how good it was measured to be."""

    url = Address("api:model_version", {"sha256": "sha256"})
    card_url = Address("diagnosis:model_card", {"sha256": "sha256"}, help_text="The model card, a page for people.")

    class Meta:
        model = ModelVersion
        fields = (
            "sha256",
            "name",
            "url",
            "card_url",
            "is_active",
            "threshold",
            "uncertain_low",
            "uncertain_high",
            "registered_at",
            "activated_at",
        )
        read_only_fields = fields


class ModelVersionNameSerializer(serializers.ModelSerializer):
    """Which version of the model answered."""

    url = Address("api:model_version", {"sha256": "sha256"})
    card_url = Address("diagnosis:model_card", {"sha256": "sha256"}, help_text="The model card, a page for people.")

    class Meta:
        model = ModelVersion
        fields = ("sha256", "name", "url", "card_url")
        read_only_fields = fields


class ReviewSerializer(serializers.Serializer):
    """What human readers said of the answer, without their names."""

    label = serializers.ChoiceField(  # type: ignore[assignment]
        Verdict.choices, read_only=True, help_text="What most readers see, the newest one while they disagree."
    )
    agrees = serializers.BooleanField(read_only=True, help_text="It is what the model said.")
    disputed = serializers.BooleanField(read_only=True, help_text="Readers disagree.")
    created_at = serializers.DateTimeField(read_only=True, help_text="Of the newest verdict.")


@extend_schema_field(CodeSerializer(many=True))
class QualityIssues(serializers.Field):
    """What is poor in the picture of a scan."""

    def __init__(self, source: str | None = None) -> None:
        what = "What is poor in the picture; it is read all the same."
        super().__init__(read_only=True, source=source, help_text=what)

    def to_representation(self, codes: list[str]) -> list[dict[str, str]]:
        """Give each with its sentence; codes of another version are passed over."""
        return [{"code": issue.value, "sentence": said} for issue, said in quality.sentences(codes).items()]


class PredictionSerializer(serializers.ModelSerializer):
    """One answer of one model version on one scan. It never changes once its state is SUCCEEDED or FAILED."""

    state = serializers.ChoiceField(
        State.choices, read_only=True, help_text="QUEUED and RUNNING pass; SUCCEEDED has an answer, FAILED a failure."
    )
    trigger = serializers.ChoiceField(Trigger.choices, read_only=True, help_text="Why it was asked for.")
    url = Address("api:prediction", {"scan_id": "scan_id", "prediction_id": "pk"})
    scan_url = Address("api:scan", {"scan_id": "scan_id"})
    label = serializers.SerializerMethodField(help_text="null without an answer.")  # type: ignore[assignment]
    probability = serializers.FloatField(
        read_only=True, allow_null=True, min_value=0, max_value=1, help_text="Calibrated P(PNEUMONIA), never P(label)."
    )
    confidence = serializers.FloatField(
        read_only=True, allow_null=True, min_value=0, max_value=1, help_text="The probability of the label."
    )
    threshold = serializers.FloatField(
        read_only=True, allow_null=True, help_text="The operating point: from it on, the label is PNEUMONIA."
    )
    uncertain = serializers.BooleanField(
        source="is_uncertain", read_only=True, help_text="So near the operating point that a human reader has to look."
    )
    failure = serializers.SerializerMethodField(
        help_text=f"Why there is no answer: {', '.join(FailureReason.values)}. NOT_A_CHEST_XRAY is the model's refusal."
    )
    quality_issues = QualityIssues("scan.quality_issues")
    model_version = ModelVersionNameSerializer(read_only=True)
    heatmap_url = Address(
        "api:prediction_heatmap",
        {"scan_id": "scan_id", "prediction_id": "pk"},
        when="heatmap",
        help_text="Where the model looked, as a transparent PNG to lay over the picture; no localisation.",
    )
    report_url = Address(
        "api:prediction_report",
        {"scan_id": "scan_id", "prediction_id": "pk"},
        when="is_terminal",
        help_text="The answer as one PDF page for people; null while there is none yet.",
    )
    review = serializers.SerializerMethodField(
        help_text="null: not reviewed yet, or not by all the readers that it should have."
    )
    milliseconds = serializers.IntegerField(read_only=True, allow_null=True, help_text="That the reading took.")
    disclaimer = serializers.SerializerMethodField(help_text="To be shown wherever the answer is shown.")

    class Meta:
        model = Prediction
        fields = (
            "id",
            "url",
            "scan_url",
            "state",
            "label",
            "probability",
            "confidence",
            "threshold",
            "uncertain",
            "failure",
            "quality_issues",
            "model_version",
            "heatmap_url",
            "report_url",
            "review",
            "trigger",
            "requested_at",
            "finished_at",
            "milliseconds",
            "disclaimer",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(Label.choices, allow_null=True))
    def get_label(self, prediction: Prediction) -> str | None:
        """Give it, or None."""
        return prediction.label or None

    @extend_schema_field(CodeSerializer(allow_null=True))
    def get_failure(self, prediction: Prediction) -> dict[str, str] | None:
        """Give the reason with its sentence, or None."""
        if not prediction.reason:
            return None
        return {"code": prediction.reason, "sentence": prediction.get_reason_display()}

    @extend_schema_field(ReviewSerializer(allow_null=True))
    def get_review(self, prediction: Prediction) -> dict[str, Any] | None:
        """Give what stands, or None while a reader is still waited for; reviews come newest first."""
        reviews = prediction.reviews.all()
        if not reviews or prediction.is_half_read:
            return None
        told = {
            "label": prediction.reviewed_label,
            "agrees": prediction.reviewed_label == prediction.label,
            "disputed": prediction.is_disputed,
            "created_at": reviews[0].created_at,
        }
        return ReviewSerializer(told).data

    def get_disclaimer(self, prediction: Prediction) -> str:
        """Say what it is not."""
        return DISCLAIMER


class DicomSerializer(serializers.ModelSerializer):
    """All that is kept of a DICOM file beside its pixels; null: the file doesn't say, or says it unclearly."""

    modality = serializers.ChoiceField(MODALITIES, allow_null=True)
    view_position = serializers.ChoiceField(VIEWS, allow_null=True)
    photometric_interpretation = serializers.ChoiceField(PHOTOMETRIC, help_text="Of the file as given.")

    class Meta:
        model = Scan
        fields = (
            "modality",
            "view_position",
            "photometric_interpretation",
            "row_spacing",
            "column_spacing",
            "patient_age",
        )
        read_only_fields = fields

    def to_representation(self, scan: Scan) -> dict[str, Any]:
        """Give null in place of an empty word."""
        return {name: None if value == "" else value for name, value in super().to_representation(scan).items()}


class ScanSerializer(serializers.ModelSerializer):
    """One chest X-ray, with the latest answer on it."""

    url = Address("api:scan", {"scan_id": "pk"})
    page_url = Address("diagnosis:scan_detail", {"scan_id": "pk"}, help_text="The same, as a page for people.")
    picture_url = Address("api:scan_picture", {"scan_id": "pk"}, help_text="The stored picture, a grey PNG.")
    predictions_url = Address("api:predictions", {"scan_id": "pk"})
    owner = serializers.CharField(source="owner.username", read_only=True, help_text="User name of who gave it.")
    original_name = serializers.CharField(
        read_only=True, help_text="Of a DICOM file a name made here: its own may be that of a person."
    )
    quality_issues = QualityIssues()
    dicom = serializers.SerializerMethodField(help_text="null for a picture that was no DICOM file.")
    latest_prediction = PredictionSerializer(
        read_only=True,
        allow_null=True,
        help_text="The one asked for last. null: no model was active when the scan came in, so none was asked for.",
    )

    class Meta:
        model = Scan
        fields = (
            "id",
            "url",
            "page_url",
            "picture_url",
            "predictions_url",
            "owner",
            "reference",
            "original_name",
            "sha256",
            "width",
            "height",
            "quality_issues",
            "dicom",
            "created_at",
            "latest_prediction",
        )
        read_only_fields = fields

    @extend_schema_field(DicomSerializer(allow_null=True))
    def get_dicom(self, scan: Scan) -> dict[str, Any] | None:
        """Give the facts, or None."""
        return DicomSerializer(scan).data if scan.is_dicom else None

    def to_representation(self, scan: Scan) -> dict[str, Any]:
        """Give it; the prediction tells of its scan, which needs no query of its own."""
        if scan.latest_prediction:
            scan.latest_prediction.scan = scan
        return super().to_representation(scan)


class NewScanSerializer(Strict):
    """A picture to keep and to read."""

    # Empty files pass: intake refuses them with its own code.
    image = serializers.FileField(
        allow_empty_file=True,
        help_text=f"One chest X-ray as a file: {intake.ACCEPTED}. Only its pixels are kept, and of a DICOM file the "
        "facts that `dicom` tells; whatever else is in it is dropped.",
    )
    reference = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=100,
        help_text="Your own words to find it again. Don't enter a patient's name.",
    )


class ScanQuery(PageQuery):
    """Which scans."""

    state = serializers.ChoiceField(State.choices, required=False, help_text="Of the latest prediction.")
    label = serializers.ChoiceField(Label.choices, required=False, help_text="Of the latest prediction.")  # type: ignore[assignment]
    since = serializers.DateTimeField(
        required=False, help_text="Given at this moment or later; UTC where no offset is named. Write `+` as `%2B`."
    )
    until = serializers.DateTimeField(required=False, help_text="Given before this moment; said as `since` is.")
    reference = serializers.CharField(required=False, max_length=100, help_text="Exactly this reference.")
    owner = serializers.CharField(
        required=False, max_length=150, help_text="Of this user. Only staff see scans of others."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Find an impossible span."""
        given = super().validate(given)
        if "since" in given and "until" in given and given["since"] > given["until"]:
            raise serializers.ValidationError({"until": "This moment is before the first one."})
        return given

    def narrow(self, scans: ScanQuerySet, *, owner: User | None) -> ScanQuerySet:
        """Keep of `scans`, all those of `owner` or of everybody, what was asked for, to be sorted by `placed_at`."""
        given = self.validated_data
        if "owner" in given:
            # By the id: from a name a database can't guess how many scans there are.
            owner = User.objects.filter(username=given["owner"]).first()
            scans = scans.filter(owner=owner) if owner else scans.none()
        scans = scans.by_answer(owner=owner, label=given.get("label", ""), state=given.get("state", ""))
        lookups = {"since": "placed_at__gte", "until": "placed_at__lt", "reference": "reference"}
        return scans.filter(**{lookup: given[name] for name, lookup in lookups.items() if name in given})


class FieldErrorSerializer(serializers.Serializer):
    """What is wrong with one field."""

    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer):
    """An error, as problem details (RFC 9457)."""

    type = serializers.CharField(help_text="about:blank: the status and the code say it all.")
    title = serializers.CharField(help_text="The status in words.")
    status = serializers.IntegerField(min_value=400, max_value=599)
    code = serializers.CharField(help_text="What is wrong, for programs. Later versions may know further codes.")
    detail = serializers.CharField(help_text="What is wrong, as a sentence that can be shown to people.")
    instance = serializers.CharField(help_text="The path that was asked for.")
    errors = FieldErrorSerializer(many=True, required=False, help_text="With the code INVALID: each wrong field.")  # type: ignore[assignment]
