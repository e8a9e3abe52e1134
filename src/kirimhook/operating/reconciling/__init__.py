"""Compares a provider's dead letters with an inbox, and replays what the inbox does not hold.

`letters`, `verdicts`, `plan` and `states` decide, without I/O; `looking`, `canary` and `passing` do; `watch` goes on
doing it. Contract section 8.
"""
