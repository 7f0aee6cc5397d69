"""Faults, injected into real processes while scans flow in: each scan ends once, and nothing is left open."""
