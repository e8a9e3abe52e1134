"""No password and no token of an inbox URL is shown: not by `shown`, not by `scrubbed`, however badly it is written."""

from __future__ import annotations

import pytest

from kirimhook.backends import open_inbox, scrubbed, shown

SECRET = "h0rse-staple"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////var/lib/in@box.db?dedupe_days=8", "sqlite:////var/lib/in@box.db?dedupe_days=8"),
        ("postgresql://kirim@db/kirim", "postgresql://kirim@db/kirim"),
        ("postgresql://db:5432/kirim?user=a@b", "postgresql://db:5432/kirim?user=a@b"),
        (f"postgresql://kirim:{SECRET}@db:5432/kirim?schema=x", "postgresql://kirim:***@db:5432/kirim?schema=x"),
        (f"postgresql://kirim:{SECRET}@a:1,b:2/kirim", "postgresql://kirim:***@a:1,b:2/kirim"),
        (f"postgresql:///kirim?host=/run&password={SECRET}", "postgresql:///kirim?host=/run&password=***"),
        (f"postgresql://kirim:{SECRET}/x@db/kirim", "postgresql://kirim:***@db/kirim"),
        (f"postgresql://kirim:{SECRET}@x/y@db/kirim", "postgresql://kirim:***@***@db/kirim"),
        (f"postgresql://kirim:{SECRET}?x@db/kirim", "postgresql://kirim:***@db/kirim"),
        (f"postgresql://kirim:a,{SECRET}@db/kirim", "postgresql://kirim:***@db/kirim"),
        ("nats://n1,n2:4222,n3/name?replicas=3", "nats://n1,n2:4222,n3/name?replicas=3"),
        (f"nats://{SECRET}@n1,n2/name", "nats://***@n1,n2/name"),
        (f"tls://u:{SECRET}@n1:4222,v:{SECRET}@n2/name", "tls://u:***@n1:4222,v:***@n2/name"),
        (f"nats://n1,n2/name?token={SECRET}&replicas=3", "nats://n1,n2/name?token=***&replicas=3"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected
    assert scrubbed(f"cannot parse {url}", url) == f"cannot parse {expected}"
    assert SECRET not in scrubbed(f"port {SECRET!r} is no number", url) or SECRET not in url


def test_a_quoted_password_is_found_in_a_text_as_it_is() -> None:
    assert scrubbed("role h0rse@x refused", "postgresql://kirim:h0rse%40x@db/kirim") == "role *** refused"


def test_a_scheme_that_nothing_knows_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="the scheme must be") as refused:
        open_inbox(f"mysql://u:{SECRET}@db/x")
    assert SECRET not in str(refused.value)
