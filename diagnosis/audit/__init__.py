"""The audit: who did what to which scan, and when. The services write it, owners and staff read it."""

from diagnosis.audit.recording import record
from diagnosis.audit.rows import Action, AuditEvent, Pseudonym

__all__ = ["Action", "AuditEvent", "Pseudonym", "record"]
