"""What can be wrong with the bad consumer, and which checks are to complain of it: those, and no others."""

from __future__ import annotations

from enum import StrEnum, auto


class Fault(StrEnum):
    """One way to get it wrong."""

    # how it is reached
    EXPIRED = auto()
    ENDS_SOON = auto()
    OTHER_NAME = auto()
    UNKNOWN_AUTHORITY = auto()
    NO_INTERMEDIATE = auto()
    OLD_TLS_TOO = auto()
    PLAIN_TOO = auto()
    PLAIN_ONLY = auto()
    SILENT = auto()
    # what it answers
    HANGS = auto()
    NOT_HTTP = auto()
    REDIRECTS = auto()
    FAILS = auto()
    GONE = auto()
    OTHER_SECRET = auto()
    OTHER_TIME = auto()
    SLOW = auto()
    CLOCK_AHEAD = auto()
    CLOCK_BEHIND_A_LITTLE = auto()
    DATE_IN_WORDS = auto()
    TALKATIVE = auto()
    # whom it lets in
    VERIFIES_NOTHING = auto()
    LETS_UNSIGNED_IN = auto()
    LETS_FORGED_IN = auto()
    TRIES_OTHER_TIMES = auto()
    NEVER_STALE = auto()
    NEVER_EARLY = auto()
    SHORT_V1_CRASHES = auto()
    SHORT_V1_ENDS_IT = auto()
    NO_T_CRASHES = auto()
    REFUSES_WITH_410 = auto()
    TWO_HEADERS_CRASH = auto()
    LAST_HEADER_WINS = auto()
    FIRST_V1_ONLY = auto()
    LAST_V1_ONLY = auto()
    KNOWN_SCHEMES_ONLY = auto()
    ONE_SECRET = auto()
    # what it makes of events
    RESERIALISES = auto()
    HEADERS_BY_CASE = auto()
    DUPLICATE_CRASHES = auto()
    DUPLICATE_CONFLICTS = auto()
    KNOWN_TYPES_ONLY = auto()
    DEDUPES_STATUSES = auto()
    ANSWERS_ALL_ALIKE = auto()
    META_CRASHES = auto()
    NOT_JSON_CRASHES = auto()
    ANY_CONTENT_TYPE = auto()
    CONTENT_TYPE_CRASHES = auto()
    # bodies, connections
    FIRST_PIECE_ONLY = auto()
    SMALL_LIMIT = auto()
    NO_LIMIT = auto()
    RESETS_LARGE = auto()
    ANSWERS_GET = auto()
    CLOSES = auto()
    HANGS_UP = auto()
    BUSY = auto()
    BUSY_RESETS = auto()


FORGED = {"no_signature", "bad_signature", "other_body", "other_time", "stale", "future", "malformed", "two_headers"}

COMPLAINTS: dict[Fault, set[str]] = {
    Fault.EXPIRED: {"expiry"},
    Fault.ENDS_SOON: {"expiry"},
    Fault.OTHER_NAME: {"name"},
    Fault.UNKNOWN_AUTHORITY: {"chain"},
    Fault.NO_INTERMEDIATE: {"chain"},
    Fault.OLD_TLS_TOO: {"old_tls"},
    Fault.PLAIN_TOO: {"plain_http"},
    Fault.PLAIN_ONLY: {"tls"},
    Fault.SILENT: {"tls"},
    Fault.HANGS: {"answer"},
    Fault.NOT_HTTP: {"answer"},
    Fault.REDIRECTS: {"redirect"},
    Fault.FAILS: {"good"},
    Fault.GONE: {"good"},
    Fault.OTHER_SECRET: {"good"},
    Fault.OTHER_TIME: {"good"},
    Fault.SLOW: {"latency"},
    Fault.CLOCK_AHEAD: {"clock"},
    Fault.CLOCK_BEHIND_A_LITTLE: {"clock"},
    Fault.DATE_IN_WORDS: {"clock"},
    Fault.TALKATIVE: {"answer_size"},
    Fault.VERIFIES_NOTHING: FORGED,
    Fault.LETS_UNSIGNED_IN: {"no_signature"},
    Fault.LETS_FORGED_IN: {"bad_signature", "other_body", "other_time"},
    Fault.TRIES_OTHER_TIMES: {"other_time"},
    Fault.NEVER_STALE: {"stale"},
    Fault.NEVER_EARLY: {"future"},
    Fault.SHORT_V1_CRASHES: {"malformed"},
    Fault.SHORT_V1_ENDS_IT: {"malformed"},
    Fault.NO_T_CRASHES: {"malformed"},
    Fault.REFUSES_WITH_410: FORGED,
    Fault.TWO_HEADERS_CRASH: {"two_headers"},
    Fault.LAST_HEADER_WINS: {"two_headers"},
    Fault.FIRST_V1_ONLY: {"two_v1"},
    Fault.LAST_V1_ONLY: {"two_v1"},
    Fault.KNOWN_SCHEMES_ONLY: {"unknown_scheme"},
    Fault.ONE_SECRET: {"secrets"},
    Fault.RESERIALISES: {"raw_body"},
    Fault.HEADERS_BY_CASE: {"header_case"},
    Fault.DUPLICATE_CRASHES: {"duplicate"},
    Fault.DUPLICATE_CONFLICTS: {"duplicate"},
    Fault.KNOWN_TYPES_ONLY: {"unknown_type"},
    Fault.DEDUPES_STATUSES: {"statuses"},
    Fault.ANSWERS_ALL_ALIKE: {"statuses"},
    Fault.META_CRASHES: {"statuses"},
    Fault.NOT_JSON_CRASHES: {"not_json"},
    Fault.ANY_CONTENT_TYPE: {"content_type"},
    Fault.CONTENT_TYPE_CRASHES: {"content_type"},
    Fault.FIRST_PIECE_ONLY: {"slow_body"},
    Fault.SMALL_LIMIT: {"large_body"},
    Fault.NO_LIMIT: {"too_large_body"},
    Fault.RESETS_LARGE: {"too_large_body"},
    Fault.ANSWERS_GET: {"get"},
    Fault.CLOSES: {"keep_alive"},
    Fault.HANGS_UP: {"keep_alive"},
    Fault.BUSY: {"at_once"},
    Fault.BUSY_RESETS: {"at_once"},
}

ONLY_WARNED = {
    Fault.ENDS_SOON,
    Fault.OLD_TLS_TOO,
    Fault.PLAIN_TOO,
    Fault.SLOW,
    Fault.CLOCK_BEHIND_A_LITTLE,
    Fault.DATE_IN_WORDS,
    Fault.TALKATIVE,
    Fault.LAST_HEADER_WINS,
    Fault.KNOWN_SCHEMES_ONLY,
    Fault.ANSWERS_ALL_ALIKE,
    Fault.ANY_CONTENT_TYPE,
    Fault.NO_LIMIT,
    Fault.ANSWERS_GET,
    Fault.CLOSES,
}
"""Nothing is lost or let in by these, or it cannot be told."""
