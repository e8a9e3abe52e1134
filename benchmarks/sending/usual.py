"""The usual Python way, as a Celery application: a task per delivery, a requests session per worker process.

A task signs and posts its body, and is tried again when that fails. It is acknowledged when it is over, and what came
of it goes to the result backend. `tuned` gives up what is usual for what is faster.
"""

from __future__ import annotations

import os
import time

import celery
import requests
from celery.signals import worker_process_init
from requests.adapters import HTTPAdapter

from kirimhook.contract.events import KIRIM
from kirimhook.contract.headers import build
from kirimhook.contract.signature import Secret, sign

REDIS = "BENCH_REDIS"
AUTHORITY = "BENCH_AUTHORITY"
TUNED = "BENCH_TUNED"
BROKER_DATABASE, RESULT_DATABASE = 0, 1
EVENT_TYPE = "contact.created"
TIMEOUT = 10.0
RETRIES = 7
HOSTS = 100
PREFETCH = {False: 4, True: 128}
"""Tasks that a worker process has reserved: Celery's default, and enough never to wait."""

tuned = os.environ.get(TUNED) == "1"
app = celery.Celery("usual")
app.conf.update(
    broker_url=f"{os.environ.get(REDIS, 'redis://127.0.0.1')}/{BROKER_DATABASE}",
    result_backend=f"{os.environ.get(REDIS, 'redis://127.0.0.1')}/{RESULT_DATABASE}",
    broker_connection_retry_on_startup=True,
    task_acks_late=not tuned,
    worker_prefetch_multiplier=PREFETCH[tuned],
    worker_hijack_root_logger=False,
)
_sessions: list[requests.Session] = []


def _open_session(**_: object) -> None:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_connections=HOSTS))
    session.verify = os.environ[AUTHORITY]
    session.trust_env = False
    _sessions.append(session)


worker_process_init.connect(_open_session)


def _deliver(url: str, secret: str, delivery_id: str, event_id: str, body: str) -> int:
    content = body.encode()
    headers = build(
        source=KIRIM,
        event_type=EVENT_TYPE,
        event_id=event_id,
        delivery_id=delivery_id,
        attempt=deliver.request.retries + 1,
        signature=sign([Secret(secret)], content, int(time.time())),
    )
    answer = _sessions[0].post(url, data=content, headers=headers, timeout=TIMEOUT, allow_redirects=False)
    answer.raise_for_status()
    return answer.status_code


deliver = app.task(
    name="deliver", autoretry_for=(requests.RequestException,), retry_backoff=10, retry_jitter=True, max_retries=RETRIES
)(_deliver)
