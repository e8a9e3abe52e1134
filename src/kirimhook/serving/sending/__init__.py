"""Serving the sender: its API, its engine and what keeps its tables, in one process or several.

`options` what was asked for, `plan` the processes, `service` what one of them runs, `keeping` its housekeeping,
`reporter`, `report` and `view` what its admin port says.
"""
