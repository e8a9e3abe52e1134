"""The admin port: health, readiness, metrics and status of all processes of one `serve` or `work`.

`report` what one process says of itself and what they say together, `reporter` how it knows, `readiness`
what keeps it from being ready, `exposition` the metrics, `status` the JSON, `app` the ASGI application.
"""
