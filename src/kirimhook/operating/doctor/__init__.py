"""Examines a consumer of webhooks from the outside, whoever wrote it, and says what each fault would cost.

`table` lists what is checked, `examine` does it, `report` is what comes of it. Needs the extra `client`.
"""
