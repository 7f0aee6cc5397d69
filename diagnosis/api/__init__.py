"""The API for programs, version 1: the same scans, answers and rules as on the pages, as JSON."""
