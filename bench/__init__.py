"""Measurements of the whole: `make bench`."""
