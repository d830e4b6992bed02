"""Which server offers what: pure, built from listings, looked up in O(1)."""
