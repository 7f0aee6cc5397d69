"""Who is asking: the bearer of a token. Sessions open nothing here, so no other site's form can act for a person."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from diagnosis.tokens import ApiToken

SCHEME = "Bearer"
HOW = "Send your token as `Authorization: Bearer TOKEN`; make one on your account page."


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer TOKEN`, for the user whose valid token it is."""

    def authenticate(self, request: Request):
        """Give the user and the token; None when no token was sent."""
        scheme, _, secret = get_authorization_header(request).partition(b" ")
        if scheme.lower() != SCHEME.lower().encode():
            return None
        # Bytes that are no text are no token of ours either.
        token = ApiToken.objects.opened_by(secret.strip().decode(errors="replace"))
        if token is None:
            raise AuthenticationFailed(f"This token is wrong, expired or revoked. {HOW}", code="invalid_token")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme, so that what lacks it is answered with 401."""
        return f'{SCHEME} realm="API"'


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document tells of it."""

    target_class = BearerToken
    name = "token"

    def get_security_definition(self, auto_schema) -> dict[str, str]:
        """Describe the scheme."""
        return {"type": "http", "scheme": SCHEME.lower(), "description": HOW}
