"""Progress of a project, derived from evidence, and the state of a running gateway."""
