"""What several processes need to share one SQLite file: `paths` its files, `locks` who may write, `reasons` what an
error means; and `rebuilding`, when something in it has to be gone for good."""
