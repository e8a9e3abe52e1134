"""What the dashboard keeps: who is signed in, what came of attempts by the minute, replays of all that match."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "minutes",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("latencies", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "minute", "subscription_id", "writer", name="pk_minutes"),
    )
    op.create_index("ix_minutes_minute", "minutes", ["minute"])
    op.create_table(
        "replay_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("sought", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("after", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("matched", sa.Integer()),
        sa.Column("enqueued", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("skipped", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_replay_runs"),
    )
    op.create_index("ix_replay_runs_status", "replay_runs", ["status", "moved_at"])
    op.create_index("ix_replay_runs_organisation_id_id", "replay_runs", ["organisation_id", "id"])
    op.create_table(
        "replay_steps",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("last", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "first", name="pk_replay_steps"),
    )
    unreplayed = sa.text("replayed_by IS NULL AND status IN ('dead', 'failed')")
    op.create_index(
        "ix_deliveries_unreplayed_organisation",
        "deliveries",
        ["organisation_id", "status", "id"],
        postgresql_where=unreplayed,
        sqlite_where=unreplayed,
    )
