"""What the journal of one partition says, and what may be appended to it. No I/O, no clock, no randomness.

`state` is the queue table that every handle has in memory, `record` what one append says, `decide` the verbs.
"""
