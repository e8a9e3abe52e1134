"""The suite that every inbox passes: each verb and promise of the port, asked from outside.

    class TestMine(InboxConformance):
        capabilities = Capabilities(transactions=True, durable=True)

        @pytest.fixture
        def storage(self, tmp_path):
            return MyStorage(tmp_path)

`MyStorage` is a `Storage`: it makes handles on one empty place, with the clock it is given. Which tests there
are depends on `capabilities` alone. Needs pytest; call `pytest.register_assert_rewrite` with this package's
name before importing it, to see what an assertion compared.
"""

from __future__ import annotations

from kirimhook.testing.conformance.bench import Bench, Storage
from kirimhook.testing.conformance.bookmarks import Bookmarking
from kirimhook.testing.conformance.bounds import Bounding
from kirimhook.testing.conformance.copying import Copying
from kirimhook.testing.conformance.crowding import Crowding
from kirimhook.testing.conformance.erasing import Erasing
from kirimhook.testing.conformance.fencing import Fencing
from kirimhook.testing.conformance.keeping import Keeping
from kirimhook.testing.conformance.knowing import Knowing
from kirimhook.testing.conformance.leasing import Leasing
from kirimhook.testing.conformance.operating import Operating
from kirimhook.testing.conformance.putting import Putting
from kirimhook.testing.conformance.settling import Settling
from kirimhook.testing.conformance.sharing import Sharing
from kirimhook.testing.conformance.suite import played
from kirimhook.testing.conformance.transactions import Transacting
from kirimhook.testing.conformance.waiting import Waiting

__all__ = ["InboxConformance", "Storage"]


class InboxConformance(
    Putting,
    Leasing,
    Settling,
    Transacting,
    Operating,
    Knowing,
    Keeping,
    Erasing,
    Bookmarking,
    Waiting,
    Copying,
    Bounding,
    Sharing,
    Crowding,
    Fencing,
):
    """Subclass it; give it `capabilities` and the fixture `storage`."""

    @played
    async def test_the_inbox_can_do_what_its_suite_asks(self, bench: Bench) -> None:
        assert bench.inbox.capabilities == self.capabilities

    @played
    async def test_opening_and_closing_twice_is_once(self, bench: Bench) -> None:
        await bench.inbox.open()
        await bench.put(None, "a")
        await bench.inbox.close()
        await bench.inbox.close()
