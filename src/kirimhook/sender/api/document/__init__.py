"""The OpenAPI document of the API: every call, every answer, every error. Contract section 5."""
