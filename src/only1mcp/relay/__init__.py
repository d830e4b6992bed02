"""The hot path: one request, one snapshot, one answer."""
