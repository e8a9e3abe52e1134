"""The pytest plugin (its fixtures arrive with the harness)."""
