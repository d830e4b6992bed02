"""A terminal dashboard: a client of the admin API, nothing more."""
