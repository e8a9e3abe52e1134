"""The admin port of either half: health, readiness, metrics and status of all processes of one command.

`report` what a process says of itself and what all say together, `problem` why it is not ready, `exposition` the
metrics, `status` the JSON, `app` the ASGI application, `view` what a half adds that only it has.
"""
