"""The staff's work tool: review predictions, look after scans, switch the active model."""

from django.contrib import admin

from diagnosis.admin.model_versions import ModelVersionAdmin
from diagnosis.admin.predictions import PredictionAdmin
from diagnosis.admin.scans import ScanAdmin

__all__ = ["ModelVersionAdmin", "PredictionAdmin", "ScanAdmin"]

admin.site.site_header = "Chest X-ray reader · staff"
admin.site.site_title = "Chest X-ray reader"
