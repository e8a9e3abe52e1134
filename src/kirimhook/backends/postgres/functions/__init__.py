"""The functions inside the database: what a verb does is one round trip, and each statement in it sees what was
committed before it, the one that takes a lock first of all.

They run with plans that are right for any number of rows, whatever the tables held when the plan was made: through
indexes alone, never by a scan, a hash or a sort of a whole table. An empty table would be as good to begin a join with
as any, so no join is left to the planner: rows are looked up one by one (a LATERAL with a LIMIT, or a scalar subquery,
instead of JOIN and EXISTS), and are changed by their `ctid`, or by an array of numbers. `{schema}` is the inbox's own.
"""

from __future__ import annotations

from kirimhook.backends.postgres.functions.keeping import KEEPING
from kirimhook.backends.postgres.functions.leasing import LEASING
from kirimhook.backends.postgres.functions.putting import PUTTING
from kirimhook.backends.postgres.functions.settling import SETTLING

# `erasing` came later, and is a migration of its own.
FUNCTIONS = PUTTING + SETTLING + LEASING + KEEPING
