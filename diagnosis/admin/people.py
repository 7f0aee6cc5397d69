"""Accounts in the admin: a deleted one is erased with all that belongs to it, and leaves no name in the log."""

from typing import Any

from allauth.account.admin import EmailAddressAdmin
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from diagnosis import erasure
from diagnosis.admin.nameless import NamelessAdmin

admin.site.unregister((User, EmailAddress))


class PersonForm(UserChangeForm):
    """Django's form, whose password names a description that its page doesn't have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if password := self.fields.get("password"):
            password.help_text = ""


@admin.register(User)
class PersonAdmin(NamelessAdmin, UserAdmin):
    """Django's own pages, and the site's own way to erase."""

    form = PersonForm
    # They are written by the site. Django's fields for a date and a time have no labels, besides.
    readonly_fields = ("last_login", "date_joined")
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep the last superuser."""
        return super().has_delete_permission(request, obj) and not (obj and erasure.is_last_superuser(obj))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Erase the account."""
        erasure.erase_account(user=obj, erased_by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Erase one after the other."""
        for user in queryset:
            self.delete_model(request, user)


@admin.register(EmailAddress)
class AddressAdmin(NamelessAdmin, EmailAddressAdmin):
    """The pages of the library, without the addresses in the log."""

    show_full_result_count = False
