"""Replaying many deliveries: however many there are, each once, also when it is interrupted at any point.

The ids are listed first and kept on disk (`Snapshot`); what is replayed is what is in there. So deliveries of one
moment are neither skipped nor repeated, and replays that die again are not taken up. Each request carries an
Idempotency-Key made of the snapshot and its place in it, and what came of it is recorded before the next one.
"""

from kirimhook.operating.replaying.collecting import Selection, collect
from kirimhook.operating.replaying.running import Course, replay
from kirimhook.operating.replaying.snapshot import Snapshot, SnapshotError, place
from kirimhook.operating.replaying.tally import Tally

__all__ = ["Course", "Selection", "Snapshot", "SnapshotError", "Tally", "collect", "place", "replay"]
