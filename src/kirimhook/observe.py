"""What can be seen from outside: one table of log events, one of metrics, and the two objects that fill them.

Standard library only. A log event is one line of the logger `kirimhook`, with its fields in
`record.kirimhook`. Metrics are plain integers; whoever serves them renders `Meter.snapshot()`.
Neither ever holds a secret or a body.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import defaultdict
from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOGGER = "kirimhook"
_MAX_SHOWN = 512


class LogEvent(NamedTuple):
    """`level` is its lowest: with an exception it is an error. `fields` are all that it may have."""

    level: int
    fields: tuple[str, ...]
    about: str


_DELIVERY = ("event_id", "type", "source", "delivery_id", "attempt", "bytes")

_HANDLING = ("number", "event_id", "type", "attempt", "handler")

_ATTEMPT = (
    "delivery_id",
    "subscription_id",
    "event_id",
    "type",
    "kind",
    "attempt",
    "status",
    "address",
    "milliseconds",
)

LOG_EVENTS: dict[str, LogEvent] = {
    "acked": LogEvent(DEBUG, ("receipt", *_DELIVERY), "An event was stored, or is a known one."),
    "duplicate_of_parked": LogEvent(WARNING, _DELIVERY, "A parked event was sent again; it stays parked."),
    "refused": LogEvent(
        WARNING, ("status", "reason", "detail", "client", *_DELIVERY), "A request was not accepted, and why."
    ),
    "unstored": LogEvent(ERROR, ("reason", "detail", "events"), "Storage did not take events: 503."),
    "inbox_failed": LogEvent(ERROR, ("reason", "detail"), "An outage of the storage begins: 503 until it ends."),
    "inbox_recovered": LogEvent(WARNING, ("reason",), "The outage is over, without anybody's doing."),
    "database_failed": LogEvent(ERROR, ("reason", "detail"), "An outage of the sender's database begins."),
    "database_recovered": LogEvent(WARNING, ("reason",), "That outage is over, without anybody's doing."),
    "inbox_opened": LogEvent(INFO, ("inbox", "promise"), "The inbox answers; what an acknowledgement promises there."),
    "inbox_awaited": LogEvent(
        ERROR,
        ("inbox", "reason", "detail"),
        "The inbox cannot be reached yet: 503 until it can; nothing has to be restarted.",
    ),
    "inbox_replaced": LogEvent(
        ERROR, ("path",), "The file was deleted or moved while in use; a new one takes what comes."
    ),
    "receiver_failed": LogEvent(ERROR, ("status", "reason", *_DELIVERY), "A defect of ours, answered 503."),
    "hung_up": LogEvent(DEBUG, ("bytes",), "A client left before its body was complete."),
    "not_started": LogEvent(ERROR, ("hint",), "A request came to a receiver that was never started: 503."),
    "receiver_started": LogEvent(INFO, ("path", "secrets", "worker"), "Ready to receive."),
    "receiver_stopped": LogEvent(INFO, (), "Stopped; what was accepted is stored."),
    "secrets_loaded": LogEvent(INFO, ("source", "fingerprints", "added", "dropped"), "The list of secrets changed."),
    "secrets_kept": LogEvent(
        WARNING, ("source", "problem", "kept"), "A source gave no good list; the last good one stays."
    ),
    "secret_first_match": LogEvent(INFO, ("fingerprint",), "First delivery that this secret verified."),
    "connection_cut": LogEvent(
        WARNING,
        ("why", "connections", "client", "seconds"),
        "Connections broke a limit and were closed: how many since the last such line, and the last of them.",
    ),
    "few_files": LogEvent(
        WARNING, ("wanted", "connections"), "The limit on open files allows fewer connections: raise it (ulimit -n)."
    ),
    "worker_started": LogEvent(INFO, ("handlers", "concurrency"), "Ready to handle events."),
    "worker_stopping": LogEvent(INFO, ("leased",), "Told to stop: no more leases, running handlers may end."),
    "worker_stopped": LogEvent(INFO, ("abandoned",), "Stopped; `abandoned` leases are left to run out."),
    "worker_failed": LogEvent(ERROR, (), "A defect of ours ended the worker."),
    "handled": LogEvent(DEBUG, _HANDLING, "A handler is done with an event."),
    "retry": LogEvent(WARNING, (*_HANDLING, "reason", "delay"), "An attempt failed; the next is in `delay` seconds."),
    "parked": LogEvent(WARNING, (*_HANDLING, "reason"), "An event was given up and kept."),
    "no_handler": LogEvent(WARNING, ("type",), "The first event of a type that nothing handles."),
    "lease_lost": LogEvent(
        WARNING, (*_HANDLING, "behind"), "Another worker has, or will have, this event and the run behind it."
    ),
    "suspect": LogEvent(WARNING, _HANDLING, "An event whose lease ran out repeatedly is handled alone."),
    "handler_overdue": LogEvent(
        WARNING, (*_HANDLING, "timeout"), "A thread is past its timeout. It cannot be stopped: its lease is kept."
    ),
    "unknown_outcome": LogEvent(WARNING, ("handler", "returned"), "A handler returned what is no outcome: done."),
    "handlers_loop_broken": LogEvent(ERROR, (), "Something raised out of the handlers' loop; it goes on."),
    "work_halted": LogEvent(ERROR, ("reason",), "The inbox does not answer the worker; it tries again."),
    "work_resumed": LogEvent(WARNING, ("seconds",), "The inbox answers again."),
    "purge_failed": LogEvent(WARNING, ("reason",), "What is past its retention could not be removed this time."),
    "purged": LogEvent(DEBUG, ("payloads", "records"), "What is past its retention was removed."),
    "admin_signed_in": LogEvent(INFO, ("client",), "Somebody signed in to the pages of the admin port."),
    "admin_sign_in_failed": LogEvent(WARNING, ("client", "reason"), "Somebody could not sign in to these pages."),
    "inbox_paused": LogEvent(WARNING, ("client",), "An operator paused all handling, by the pages."),
    "inbox_resumed": LogEvent(INFO, ("client",), "An operator let handling go on, by the pages."),
    "event_put_back": LogEvent(INFO, ("client", "number"), "An operator put back one event, by the pages."),
    "put_back_started": LogEvent(
        INFO, ("client", "run", "expected"), "An operator had many events put back, by the pages; so many, or more."
    ),
    "put_back_ended": LogEvent(
        INFO, ("run", "state", "put_back", "no_body", "elsewhere"), "That ended: what became of them."
    ),
    "page_failed": LogEvent(ERROR, ("method", "path"), "A defect of ours in a page of the admin port."),
    "serve_started": LogEvent(
        INFO,
        (
            *("url", "host", "port", "path", "tls", "admin_url", "admin_port", "pages_url"),
            *("worker", "processes", "hint"),
        ),
        "All processes serve, on these ports.",
    ),
    "serve_stopping": LogEvent(INFO, ("signal",), "Told to stop: finishing what was begun."),
    "serve_stopped": LogEvent(INFO, (), "Stopped; what was accepted is stored."),
    "sender_started": LogEvent(
        INFO,
        (
            *("url", "host", "port", "tls", "ca", "dashboard", "admin_url", "admin_port"),
            *("database", "engine", "processes", "hint"),
        ),
        "All processes of a sender run, on these ports.",
    ),
    "sender_stopping": LogEvent(INFO, ("signal",), "Told to stop: finishing what was begun."),
    "sender_stopped": LogEvent(INFO, (), "Stopped; what was accepted is stored."),
    "database_migrating": LogEvent(INFO, ("step",), "A file is brought to what this version needs."),
    "engine_failed": LogEvent(ERROR, (), "A defect of ours ended the engine."),
    "deliveries_expired": LogEvent(
        WARNING, ("deliveries",), "Deliveries were still open at the end of their retention, and are dead letters now."
    ),
    "keeping_failed": LogEvent(
        WARNING, ("reason",), "What is past its retention, expired or deleted could not be seen to this time."
    ),
    "certificate_loaded": LogEvent(INFO, ("certificate",), "New connections get the certificate as it is now."),
    "certificate_kept": LogEvent(ERROR, ("problem",), "The certificate could not be read anew; the old one stays."),
    "process_started": LogEvent(INFO, ("child",), "A process of several was started."),
    "process_ended": LogEvent(ERROR, ("child", "how", "restart_in"), "A process ended by itself, and is replaced."),
    "request_answered": LogEvent(
        DEBUG,
        ("request_id", "method", "path", "status", "code", "organisation_id", "seconds"),
        "A call of the sender's API was answered, and how.",
    ),
    "request_unserved": LogEvent(
        WARNING, ("request_id", "reason", "detail"), "Storage did not take a call of the sender's API, or a page: 503."
    ),
    "request_failed": LogEvent(
        ERROR,
        ("request_id", "method", "path", "organisation_id"),
        "A defect of ours in a call of the API, or a page: 500.",
    ),
    "signed_in": LogEvent(INFO, ("organisation_id", "key_id", "client"), "Somebody signed in to the dashboard."),
    "sign_in_failed": LogEvent(
        WARNING, ("client", "reason"), "A key did not open the dashboard, or there were too many tries."
    ),
    "process_killed": LogEvent(ERROR, ("processes", "after"), "Processes did not stop in time."),
    "engine_started": LogEvent(INFO, (), "Deliveries are being made."),
    "engine_stopping": LogEvent(INFO, ("held",), "Told to stop: what was not begun is given back, the rest may end."),
    "engine_stopped": LogEvent(INFO, ("abandoned",), "Stopped; `abandoned` leases are left to run out."),
    "engine_halted": LogEvent(ERROR, ("reason",), "The database does not answer the engine; it tries again."),
    "engine_resumed": LogEvent(WARNING, ("seconds",), "The database answers again."),
    "attempt_succeeded": LogEvent(DEBUG, _ATTEMPT, "A delivery was answered 2xx."),
    "attempt_failed": LogEvent(
        WARNING,
        (*_ATTEMPT, "reason", "delay"),
        "An attempt failed; the next is in `delay` seconds, or there is none.",
    ),
    "dead_letter": LogEvent(WARNING, (*_ATTEMPT, "reason", "why"), "A delivery was given up."),
    "subscription_disabled": LogEvent(
        ERROR, ("subscription_id", "why", "held"), "Its deliveries failed too often, or it is gone: they are held."
    ),
    "delivery_lost": LogEvent(
        WARNING, _ATTEMPT, "A lease ran out: another engine has, or will have, this delivery; nothing was written down."
    ),
    "endpoint_unusable": LogEvent(
        ERROR, ("subscription_id", "reason"), "Nothing can be signed for a subscription: its deliveries wait."
    ),
    "minutes_not_written": LogEvent(
        WARNING, ("reason",), "What the dashboard shows by the minute was not written; it is tried again, told once."
    ),
    "endpoints_stale": LogEvent(WARNING, ("reason",), "It could not be seen whether subscriptions were changed."),
    "not_notified": LogEvent(
        ERROR, ("notices", "reason"), "The operator could not be told of so many things; it is tried again."
    ),
    "notices_not_read": LogEvent(
        WARNING, ("reason",), "What the operator is to be told cannot be read; told once of an outage."
    ),
}
"""Every event that is logged, with its fields. A test holds the source to it."""


class Metric(NamedTuple):
    """`kind`: counter, gauge or histogram. `label`: its name, "" for none, or two with a blank between, as in the
    counts' own names (of which the first may hold blanks). `writer`: its thread."""

    kind: str
    label: str
    writer: str
    about: str


METRICS: dict[str, Metric] = {
    "kirimhook_requests_total": Metric("counter", "result", "ack loop", "Requests by what became of them."),
    "kirimhook_ack_seconds": Metric(
        "histogram", "", "ack loop", "From a complete request to its 200, the commit included."
    ),
    "kirimhook_received_bytes_total": Metric("counter", "", "ack loop", "Bytes of bodies that were stored."),
    "kirimhook_received_types_total": Metric("counter", "type", "ack loop", "Stored by type; after 100: other."),
    "kirimhook_buffered_bytes": Metric("gauge", "", "ack loop", "Bytes of the bodies being read now."),
    "kirimhook_waiting_commits": Metric("gauge", "", "ack loop", "Events handed to storage, not yet committed."),
    "kirimhook_connections": Metric("gauge", "", "ack loop", "Open connections."),
    "kirimhook_connections_cut_total": Metric("counter", "why", "ack loop", "Connections closed by a limit."),
    "kirimhook_handled_total": Metric("counter", "outcome", "control loop", "Handled events by how it ended."),
    "kirimhook_ended_types_total": Metric(
        "counter", "type outcome", "control loop", "The same by type too: the first 100, all others as `other`."
    ),
    "kirimhook_leases_lost_total": Metric(
        "counter", "", "control loop", "Results refused, or leases not renewed, because another worker has them."
    ),
    "kirimhook_purged_total": Metric("counter", "what", "control loop", "Payloads and records past retention."),
    "kirimhook_leased_runs": Metric("gauge", "", "control loop", "Runs of events this worker has leased."),
    "kirimhook_handlers_running": Metric("gauge", "", "handlers' loop", "Handlers that run now."),
    "kirimhook_handler_seconds": Metric("histogram", "", "handlers' loop", "How long handlers take."),
    "kirimhook_notices_total": Metric(
        "counter", "result", "ack loop", "Parked events that the operator was told of, and could not be."
    ),
    "kirimhook_sender_requests_total": Metric(
        "counter", "result", "API loop", "Calls of the API: ok, the code of an error, or hung_up."
    ),
    "kirimhook_sender_request_seconds": Metric("histogram", "", "API loop", "From a call's head to its answer."),
    "kirimhook_sender_pages_total": Metric(
        "counter", "status", "API loop", "Requests to the dashboard, by the HTTP status of the answer, or hung_up."
    ),
    "kirimhook_sender_page_seconds": Metric(
        "histogram", "", "API loop", "From a request to the dashboard to the head of its answer."
    ),
    "kirimhook_sender_attempts_total": Metric("counter", "outcome", "engine loop", "Attempts by how they ended."),
    "kirimhook_sender_finished_total": Metric("counter", "status", "engine loop", "Deliveries by how they ended."),
    "kirimhook_sender_disabled_total": Metric("counter", "why", "engine loop", "Subscriptions disabled, and why."),
    "kirimhook_sender_leases_lost_total": Metric(
        "counter", "", "engine loop", "Deliveries that another engine has, although this one had leased them."
    ),
    "kirimhook_sender_attempt_seconds": Metric("histogram", "", "engine loop", "How long attempts take."),
    "kirimhook_sender_delivered_seconds": Metric(
        "histogram", "", "engine loop", "From the making of a delivery to its success."
    ),
    "kirimhook_sender_held": Metric("gauge", "", "engine loop", "Deliveries leased, those under way included."),
    "kirimhook_sender_in_flight": Metric("gauge", "", "engine loop", "Attempts under way."),
    "kirimhook_sender_oldest_due_seconds": Metric(
        "gauge", "", "engine loop", "How long the delivery has been due that waits longest for a lease."
    ),
    "kirimhook_sender_kept_total": Metric(
        "counter",
        "what",
        "engine loop",
        "Housekeeping: deliveries closed, expired and purged, events, answers, sessions and replay runs forgotten.",
    ),
    "kirimhook_sender_notices_total": Metric(
        "counter", "result", "engine loop", "What the operator was told of, and what he could not be."
    ),
}
"""Every metric. A counter is written by one thread only, so that counting needs no lock."""

MOST_TYPES = 100
"""Event types that are counted apart in a process: whoever can sign a delivery can name a type."""
OTHER_TYPES = "other"

ACK_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the histogram's buckets, in seconds; the last bucket is open."""

Snapshot = dict[str, Any]


class Observer:
    """Writes log events. One is enough for a process; it holds no state but the logger."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger(LOGGER)

    def is_enabled(self, level: int) -> bool:
        """Whether events of this level go anywhere: ask before building the fields of a frequent one."""
        return self._logger.isEnabledFor(level)

    def event(self, name: str, *, error: BaseException | None = None, **fields: object) -> None:
        """Log one event of `LOG_EVENTS`, with the traceback of `error`. Fields that are None are left out."""
        known = LOG_EVENTS.get(name)
        level = known.level if known else WARNING
        if error is not None:
            level = max(level, ERROR)
        if not self._logger.isEnabledFor(level):
            return
        shown = {key: value for key, value in fields.items() if value is not None}
        self._logger.log(
            level,
            "%s",
            _line(name, shown),
            exc_info=error,
            extra={"kirimhook": {"event": name, **shown}},
        )


def _line(name: str, fields: Mapping[str, object]) -> str:
    return " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())])


def _shown(value: object) -> str:
    """The value on one line: what came from outside must not start a line of its own, nor fill the disk."""
    text = str(value)
    if len(text) > _MAX_SHOWN:
        text = text[:_MAX_SHOWN] + "…"
    return text if text.isprintable() and text and " " not in text and '"' not in text else ascii(text)


class Histogram:
    """Counts of observations by upper bound. One thread observes."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(ACK_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(ACK_BOUNDS, seconds)] += 1
        self.total += seconds


class Meter:
    """The metrics of one process: plain integers, each written by one thread (see `METRICS`), read by any.

    Keep what `counter` gives and count with `counts[label] += 1`, about 50 ns.
    """

    __slots__ = ("_counters", "_gauges", "_histograms")

    def __init__(self) -> None:
        kinds = METRICS.items()
        self._counters: dict[str, defaultdict[str, int]] = {
            name: defaultdict(int) for name, metric in kinds if metric.kind == "counter"
        }
        self._histograms = {name: Histogram() for name, metric in kinds if metric.kind == "histogram"}
        self._gauges: dict[str, float] = {name: 0 for name, metric in kinds if metric.kind == "gauge"}

    def counter(self, name: str) -> dict[str, int]:
        """Counts by label ("" for a metric without one). KeyError for a name that is not in `METRICS`."""
        return self._counters[name]

    def histogram(self, name: str) -> Histogram:
        return self._histograms[name]

    @property
    def gauges(self) -> dict[str, float]:
        """Present values by name. Set them, or add to them."""
        return self._gauges

    def snapshot(self) -> Snapshot:
        """All values as plain data, fit for JSON and for `merge`."""
        return {
            "counters": {name: dict(counts) for name, counts in self._counters.items()},
            "gauges": dict(self._gauges),
            "histograms": {
                name: {"bounds": list(ACK_BOUNDS), "counts": list(histogram.counts), "sum": histogram.total}
                for name, histogram in self._histograms.items()
            },
        }


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The totals of several processes: everything adds up, gauges too."""
    merged = Meter().snapshot()
    for snapshot in snapshots:
        for name, counts in snapshot["counters"].items():
            _add(merged["counters"][name], counts)
        _add(merged["gauges"], snapshot["gauges"])
        for name, histogram in snapshot["histograms"].items():
            into = merged["histograms"][name]
            into["counts"] = [a + b for a, b in zip(into["counts"], histogram["counts"], strict=True)]
            into["sum"] += histogram["sum"]
    return merged


def _add(into: dict[str, Any], values: Mapping[str, float]) -> None:
    for key, value in values.items():
        into[key] = into.get(key, 0) + value
