"""Who knocks at the doors of the site, and what there is behind them."""

from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group, User
from django.test import Client

from diagnosis import audit
from diagnosis.models import AuditEvent, ModelVersion, Prediction, Review, Scan, Upload
from diagnosis.states import State
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of
from diagnosis.tokens import ApiToken

# In the order of the columns of the table.
NAMES = ("anonymous", "stranger", "owner", "reviewer", "staff", "superuser")


@dataclass
class House:
    """What belongs to alice, a model, and everybody who might want to see or change it.

    `people` are the users by the names of the columns, `secrets` their API tokens; nobody is behind "anonymous".
    """

    people: dict[str, User]
    scan: Scan
    prediction: Prediction
    upload: Upload
    event: AuditEvent
    version: ModelVersion
    other_version: ModelVersion
    secrets: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def built(cls, *, alice: User, bob: User, rita: User, sam: User, **words: Any) -> "House":
        """Build it; `words` are fields of alice's scan."""
        version, other = model_version_of(name="current", active=True), model_version_of(name="older")
        scan = scan_of(alice, **words)
        prediction = prediction_at(State.SUCCEEDED, scan, version, has_heatmap=True)
        upload = Upload.objects.create(owner=alice, given=2, known=0, refused=[])
        upload.scans.set([scan, scan_of(alice)])
        scan_of(bob)
        audit.record(action=audit.Action.VIEWED, actor=rita, scan=scan)
        EmailAddress.objects.create(user=alice, email=alice.email, primary=True)
        people = {
            "stranger": bob,
            "owner": alice,
            "reviewer": rita,
            "staff": person("tom", is_staff=True),
            "superuser": sam,
        }
        house = cls(people, scan, prediction, upload, AuditEvent.objects.first(), version, other)
        for name, user in people.items():
            house.secrets[name] = ApiToken.objects.issue(user=user, lifetime=None)[1]
        return house

    def client_of(self, name: str, *, checks_forgery: bool = False) -> Client:
        """Give a browser in which `name` is signed in."""
        client = Client(enforce_csrf_checks=checks_forgery, raise_request_exception=False)
        if name in self.people:
            client.force_login(self.people[name])
        return client

    def sign_all_in(self) -> None:
        """Sign everybody in, once for many visits by `visitor`."""
        for name in self.people:
            cookies = self.client_of(name).cookies
            self.sessions[name] = {key: morsel.value for key, morsel in cookies.items()}

    def visitor(self, name: str, *, checks_forgery: bool = False) -> Client:
        """Give a new browser with the session that sign_all_in began for `name`, else with one of its own."""
        if name not in self.sessions:
            return self.client_of(name, checks_forgery=checks_forgery)
        client = Client(enforce_csrf_checks=checks_forgery, raise_request_exception=False)
        client.cookies.load(self.sessions[name])
        return client

    def bearer_of(self, name: str) -> dict[str, str]:
        """Give the header by which the programs of `name` are known."""
        return {"Authorization": f"Bearer {self.secrets[name]}"} if name in self.secrets else {}

    def row(self, model: str) -> Any:
        """Give the key of the row that an admin page of `model`, such as "diagnosis/scan", is opened for."""
        alice = self.people["owner"]
        rows = {
            "auth/user": alice,
            "auth/group": Group.objects.get(name="Reviewers"),
            "account/emailaddress": EmailAddress.objects.get(user=alice),
            "diagnosis/apitoken": ApiToken.objects.get(user=alice),
            "diagnosis/auditevent": self.event,
            "diagnosis/modelversion": self.other_version,
            "diagnosis/prediction": self.prediction,
            "diagnosis/scan": self.scan,
        }
        return rows[model].pk

    def belongings(self) -> list[Any]:
        """Give all that nobody may change unasked, to be compared."""
        rows = [list(model.objects.order_by("pk").values_list()) for model in (Scan, Prediction, Upload, ModelVersion)]
        digests = list(ApiToken.objects.order_by("pk").values_list("user", "digest"))
        people = list(
            User.objects.order_by("pk").values_list("pk", "password", "is_staff", "is_superuser", "is_active")
        )
        reviews = list(Review.objects.order_by("pk").values_list())
        return [*rows, digests, people, reviews]
