import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artifacts.registry import bars, champions, ledger, pointer, versions
from artifacts.registry.versions import numbers
from artifacts.upkeep.repair import repair
from data.errors import BadInput, Conflict
from data.home.store import Store
from tests.artifacts.registry import nights
from tests.artifacts.registry.invariants import assert_hold
from tests.artifacts.registry.nights import DATASET


class Registry(RuleBasedStateMachine):
    """Registrations, promotions, rollbacks, bars, lifts, holds and crashes in any order, beside a model of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=nights.MEMORY)
        self.store = Store(Path(self.folder.name) / "home")
        self.labels: list[str] = []  # by version number - 1
        self.moves: list[int] = []
        self.barred: set[str] = set()
        self.lines = 0

    def teardown(self) -> None:
        """Remove the home."""
        self.folder.cleanup()

    def moved(self, number: int) -> None:
        """What a successful move does to the model."""
        self.moves.append(number)
        self.barred.discard(self.labels[number - 1])
        self.lines += 1

    def name(self, data: st.DataObject) -> int:
        """Any version's number."""
        return data.draw(st.integers(1, len(self.labels)))

    @property
    def champion(self) -> str | None:
        """The label of the champion's weights."""
        return self.labels[self.moves[-1] - 1] if self.moves else None

    @initialize()
    def begin(self) -> None:
        """There is one version."""
        self.register("a")

    @rule(label=st.sampled_from("abcd"))
    def register(self, label: str) -> None:
        """A new run, perhaps with weights that were seen before."""
        version = nights.register(self.store, label, f"run-{len(self.labels)}")
        self.labels.append(label)
        assert version.number == len(self.labels)

    @rule(data=st.data(), stale=st.booleans())
    def promote(self, data: st.DataObject, stale: bool) -> None:
        """Any version, with the right token or an old one."""
        number = self.name(data)
        version = versions.find(self.store, f"mnist/{number}")
        token = len(self.moves) - stale
        if self.moves and self.moves[-1] == number:
            assert nights.promote(self.store, version, generation=token).to_version == version.id
        elif stale:
            with pytest.raises(Conflict):
                nights.promote(self.store, version, generation=token)
        elif self.labels[number - 1] in self.barred:
            with pytest.raises(BadInput):
                nights.promote(self.store, version, generation=token)
        else:
            nights.promote(self.store, version, generation=token)
            self.moved(number)

    @precondition(lambda self: self.moves)
    @rule(data=st.data(), named=st.booleans())
    def rollback(self, data: st.DataObject, named: bool) -> None:
        """To a named version, or to the newest earlier champion that is neither barred nor the same model."""
        number = self.name(data) if named else None
        if number is None:
            refused = {*self.barred, self.champion}
            number = next((past for past in reversed(self.moves) if self.labels[past - 1] not in refused), None)
        if number is None or self.labels[number - 1] == self.champion:
            last = champions.history(self.store, DATASET)
            repeated = number == self.moves[-1] and [e for e in last if e.generation][-1].action == "rollback"
            if not (named and repeated):
                with pytest.raises(BadInput):
                    champions.rollback(self.store, DATASET, to=f"mnist/{number}" if named else None, **nights.BY_ME)
            return
        left = self.champion
        champions.rollback(self.store, DATASET, to=f"mnist/{number}" if named else None, **nights.BY_ME)
        self.moved(number)
        assert left is not None
        self.barred.add(left)

    @rule(data=st.data())
    def bar(self, data: st.DataObject) -> None:
        """Any version; refused for the champion's model."""
        number = self.name(data)
        label = self.labels[number - 1]
        if label == self.champion:
            with pytest.raises(BadInput):
                bars.bar(self.store, f"mnist/{number}", **nights.BY_ME)
            return
        bars.bar(self.store, f"mnist/{number}", **nights.BY_ME)
        self.lines += label not in self.barred
        self.barred.add(label)

    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """Any version; refused where there is no bar."""
        number = self.name(data)
        label = self.labels[number - 1]
        if label not in self.barred:
            with pytest.raises(BadInput):
                bars.lift(self.store, f"mnist/{number}", **nights.BY_ME)
            return
        bars.lift(self.store, f"mnist/{number}", **nights.BY_ME)
        self.lines += 1
        self.barred.discard(label)

    @rule(verdict=st.sampled_from(["HOLD", "REJECT"]), label=st.sampled_from("abcd"))
    def decide(self, verdict: str, label: str) -> None:
        """A night without a promotion."""
        champions.record(
            self.store,
            DATASET,
            verdict.lower(),
            decision=nights.decision(verdict),
            provenance=nights.provenance(label, f"night-{self.lines}"),
            **nights.BY_ME,
        )
        self.lines += 1

    @precondition(lambda self: self.moves)
    @rule()
    def crash_before_the_line(self) -> None:
        """A pointer that moved and a ledger that does not know: the newest line is cut off if it is a move."""
        path = self.store.ledger(DATASET)
        content = path.read_bytes().splitlines(keepends=True)
        if content and content[-1].endswith(b"\n") and json.loads(content[-1])["generation"]:
            path.write_bytes(b"".join(content[:-1]) + content[-1][:20])

    @precondition(lambda self: self.moves)
    @rule()
    def lose_the_pointer(self) -> None:
        """A lost pointer, with everything in the ledger, is rebuilt as it was."""
        repair(self.store, DATASET)
        path = self.store.champion(DATASET)
        before = path.read_bytes()
        path.unlink()
        assert pointer.lock_name(DATASET)
        repair(self.store, DATASET)
        assert path.read_bytes() == before

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Champion, bars, numbers and the length of the story are the model's."""
        expected = f"mnist/{self.moves[-1]}" if self.moves else None
        assert_hold(self.store, (expected,))
        entries = champions.history(self.store, DATASET)
        assert len(entries) == self.lines
        assert set(ledger.barred(entries)) == {nights.weights(label) for label in self.barred}
        assert self.champion not in self.barred
        assert numbers(self.store, DATASET) == tuple(range(1, len(self.labels) + 1))


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
