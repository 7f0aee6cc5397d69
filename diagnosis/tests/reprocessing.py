"""The command reprocess_scans as its tests call it."""

import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


def reprocess(*arguments: str) -> str:
    """Run the command as from a shell; give what it printed."""
    out = io.StringIO()
    call_command("reprocess_scans", *arguments, stdout=out)
    return out.getvalue()


def failing(*arguments: str) -> str:
    """Run the command, expect that it fails; give the reason it told."""
    with pytest.raises(CommandError) as caught:
        reprocess(*arguments)
    return str(caught.value)
