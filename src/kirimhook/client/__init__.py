"""The REST API as a client sees it, sync and async over one request/response core. Contract section 5."""
