"""A module of a user that cannot be imported."""

raise SystemExit(3)
