"""`kirimhook serve`, as a process with TLS: the doctor finds nothing wrong with it, and says what it could not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.contract.signature import Secret
from kirimhook.testing.devca import DevCertificates, make_certificates
from tests.cli.commands import kirimhook
from tests.serving.processes import OTHER, SECRET, Serving, serve

BOTH = f"{SECRET.reveal()},{OTHER.reveal()}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevCertificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two processes"])
def served(
    request: pytest.FixtureRequest, certificates: DevCertificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    tls = ("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key))
    with serve(
        tmp_path_factory.mktemp("serve"),
        *tls,
        "--workers",
        request.param,
        environment={"KIRIM_WEBHOOK_SECRETS": BOTH},
    ) as running:
        running.started()
        yield running


@pytest.fixture
def given(served: Serving, certificates: DevCertificates, tmp_path: Path) -> list[str]:
    secrets = tmp_path / "secrets.txt"
    secrets.write_text(f"{SECRET.reveal()}\n{OTHER.reveal()}\n")
    trusted = ["--secrets-file", str(secrets), "--ca-bundle", str(certificates.ca)]
    return [served.url, *trusted, "--admin", str(served.started()["admin_url"])]


def test_nothing_is_wrong_with_ours(given: list[str]) -> None:
    ran = kirimhook("doctor", *given, "--probe-events", "--json")
    assert (ran.code, ran.errors) == (0, "")
    assert {row["check"]: row for row in ran.data["checks"] if row["verdict"] != "passed"} == {}
    assert ran.data["healthy"] is True
    assert ran.data["requests"] <= 100


def test_what_was_left_out_is_no_success(given: list[str]) -> None:
    ran = kirimhook("doctor", *given[:-2], "--json")
    assert ran.code == 0
    left_out = {row["check"] for row in ran.data["checks"] if row["verdict"] == "left_out"}
    assert left_out == {"statuses", "not_json", "ready", "loaded"}
    assert ran.data["passed"] == len(ran.data["checks"]) - len(left_out)


def test_people_get_a_table(given: list[str]) -> None:
    ran = kirimhook("doctor", *given)
    assert ran.code == 0
    assert ran.out.splitlines()[0].split() == ["VERDICT", "CHECK", "SAW"]
    assert "passed    raw_body" in ran.out
    assert SECRET.reveal() not in ran.out


def test_a_secret_that_no_receiver_has_is_named_by_its_fingerprint(given: list[str], tmp_path: Path) -> None:
    ran = kirimhook("doctor", *given, "--secret", "whsec_that_nobody_has", "--json")
    assert ran.code == 1
    failed = {row["check"]: row["saw"] for row in ran.data["checks"] if row["verdict"] == "failed"}
    assert set(failed) == {"secrets", "loaded"}
    assert all(Secret("whsec_that_nobody_has").fingerprint in saw for saw in failed.values())
    assert "whsec_" not in json.dumps(ran.data)


def test_plain_http_is_examined_too_and_said_to_be_no_url_for_a_subscription(tmp_path: Path) -> None:
    with serve(tmp_path) as plain:
        ran = kirimhook("doctor", plain.url, "--secret", SECRET.reveal(), "--probe-events", "--json")
    verdicts = {row["check"]: row["verdict"] for row in ran.data["checks"]}
    assert ran.code == 1
    assert {check for check, verdict in verdicts.items() if verdict == "failed"} == {"https"}
    assert {"not_run", "warned"}.isdisjoint(verdicts.values())


def test_nothing_is_wrong_with_one_that_goes_by_the_signed_id(certificates: DevCertificates, tmp_path: Path) -> None:
    tls = ("--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key))
    with serve(tmp_path, *tls, "--identity", "signed") as strict:
        given = ["--secret", SECRET.reveal(), "--ca-bundle", str(certificates.ca)]
        ran = kirimhook("doctor", strict.url, *given, "--probe-events", "--json")
    assert (ran.code, ran.data["warned"], ran.data["failed"], ran.data["not_run"]) == (0, 0, 0, 0)
