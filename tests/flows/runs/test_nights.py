"""Nights on a real server: many workers, and every process that can die during one."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from uuid import uuid4

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.events.filters import EventFilter
from prefect.states import Cancelling, Pending, Running

from artifacts.evaluation.candidates import FailedCandidate
from artifacts.recipes.candidate import Candidate
from artifacts.registry import champions
from data.home import journal
from data.home.processes import descendants
from data.prepared.parquet import PreparedRef
from flows.runs import fanout, reconcile
from flows.runs.fanout import Fan
from tests.flows.live import Live, until

pytestmark = pytest.mark.server

# Every test takes seeds of its own: what an earlier one has trained would be used again, and nothing could be killed.


def test_two_workers_train_two_candidates_at_once(live: Live) -> None:
    """Both trainings are under way at the same moment, on different workers, and the night ends with a champion."""
    with live.worker("gpu"):
        night = live.night("tiny", "softmax-regression", seed=1)
        live.training(night)
        ended = live.ended(night)
    assert ended.state_name == "Promoted", ended.state
    first, second = live.children(night)
    assert first.start_time
    assert second.start_time
    assert first.end_time
    assert second.end_time
    assert max(first.start_time, second.start_time) < min(first.end_time, second.end_time)
    records = [journal.find(live.store, str(one.id)) for one in (first, second)]
    assert all(one and one.state == "finished" and one.result["digest"] for one in records)


def test_task_runs_and_events_appear_under_authentication(live: Live) -> None:
    """What the first night did is on the server: its tasks, its events, its report."""
    night = next(one for one in journal.read(live.store) if one.kind == "retrain")
    of = FlowRunFilter.model_validate({"id": {"any_": [night.id]}})
    with live.client() as client:
        tasks = until(lambda: client.read_task_runs(flow_run_filter=of), "task runs")  # type: ignore[attr-defined]
        found = client.request("POST", "/events/filter", json={"filter": EventFilter().model_dump(mode="json")})
        notes = client.request("POST", "/artifacts/filter", json={}).json()
    names = {task.name for task in tasks}
    assert {"choose", "decide mnist-sample", "register mnist-sample", "report mnist-sample"} <= names
    assert any(event["event"] == "prefect.flow-run.Completed" for event in found.json()["events"])
    assert any(note["key"] == "report-mnist-sample" for note in notes)


@pytest.mark.fault("F-49")
def test_every_morning_everything_is_hashed_again(live: Live) -> None:
    """The deployment that verifies completes; with one bit of the champion changed it fails and says where."""
    assert live.ended(live.start("verify/nightly")).state_name == "Completed"
    champion = champions.champion(live.store, "mnist-sample")
    assert champion
    whole = champion.model.read_bytes()
    champion.model.chmod(0o644)
    champion.model.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    ended = live.ended(live.start("verify/nightly"))
    champion.model.write_bytes(whole)
    champion.model.chmod(0o444)
    assert ended.state_name == "Failed"
    assert "mnist-sample/1" in str(ended.state and ended.state.message)


def test_cancelling_a_night_cancels_its_trainings(live: Live) -> None:
    """When a night is cancelled, its trainings are cancelled too and their processes end."""
    night = live.night("tiny:epochs=1000,hidden=1024", seed=2)
    (training,) = live.training(night)
    with live.client() as client:
        client.set_flow_run_state(night, Cancelling())
    assert live.ended(night).state_name == "Cancelled"
    (child,) = live.children(night)
    assert live.ended(child.id).state_name == "Cancelled"
    until(lambda: training.process.gone, "the end of the training's process")


@pytest.mark.fault("F-16")
def test_killed_worker_does_not_block_the_next_night(live: Live) -> None:
    """A worker and its runs are killed; it is restarted, the runs are marked Crashed, and the next night works."""
    night = live.night("tiny", seed=3)
    live.training(night)
    worker = live.started.services["worker-cpu"]
    for pid in (worker.pid, *descendants(worker.pid)):
        os.kill(pid, signal.SIGKILL)
    ended = live.ended(night)
    assert ended.state_name == "Crashed"
    assert "exited without recording a result" in str(ended.state and ended.state.message)
    assert live.record(night, "crashed")
    until(lambda: live.started.services["worker-cpu"] != worker, "the worker to be started again")
    (child,) = live.children(night)
    assert live.ended(child.id).state_name in ("Cancelled", "Completed")  # its own worker is alive
    following = live.night("tiny", seed=3)
    assert live.ended(following).state_name in ("Promoted", "Not promoted")


@pytest.mark.fault("F-14")
def test_night_survives_the_death_of_its_server(live: Live) -> None:
    """The server dies in the middle of a training and is started again; the night goes on to its end."""
    night = live.night("tiny", seed=4)
    live.training(night)
    before = live.started.services["server"]
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: live.started.services["server"] != before, "the server to be started again")
    until(live.healthy, "the server to answer")
    assert live.ended(night).state_name in ("Promoted", "Not promoted")


@pytest.mark.fault("F-17", "F-38")
def test_killed_training_is_reported_and_the_night_goes_on(live: Live) -> None:
    """One of two candidates is killed; the other is judged, and the report says what happened."""
    night = live.night("tiny", "softmax-regression", seed=5)
    child = until(lambda: next(iter(live.children(night)), None), "a training")
    victim = live.record(child.id, "running")
    os.kill(victim.process.pid, signal.SIGKILL)
    assert live.ended(night).state_name in ("Promoted", "Not promoted")
    assert live.run(child.id).state_name == "Crashed"
    record = live.record(night, "finished")
    report = live.store.run(record.run) / "report.md"
    assert "Crashed" in report.read_text()


def test_candidate_is_started_once_and_has_a_time_limit(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night that starts its trainings twice gets one run per candidate; one over the time limit is cancelled."""
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", str(uuid4()))
    monkeypatch.setattr(fanout, "TIME_LIMIT_S", 0.0)
    prepared = PreparedRef("mnist-sample", next(live.store.prepared("0").parent.iterdir()).name)
    candidate = Candidate.parse("tiny:epochs=1000,hidden=1024", seed=8)
    with live.client() as client:
        fan, again = Fan(client, live.store), Fan(client, live.store)
        for one in (fan, again):
            one.start(prepared, [candidate], "cpu")
        (child,), (same,) = fan._children, again._children
        live.record(child.run, "running")
        (outcome,) = fan.join()
    assert isinstance(outcome, FailedCandidate)
    assert outcome.reason.startswith("it was not trained within")
    assert child.run == same.run
    assert live.ended(child.run).state_name == "Cancelled"


@pytest.mark.fault("F-22", "F-46")
def test_missed_slots_are_covered_by_one_night_and_a_manual_one_waits(live: Live) -> None:
    """Of three missed slots one runs and covers all; a manual night waits for it, and has nothing to do."""
    now = datetime.now(UTC)
    slots = [now - timedelta(days=days) for days in (3, 2, 1)]
    ours = {"dataset": "mnist-sample", "recipes": ["tiny"], "seed": 6}
    late = [live.start("retrain/mnist-nightly", ("auto-scheduled",), slot, **ours) for slot in slots]
    until(lambda: [one for one in map(str, late) if journal.find(live.store, one)], "one of the nights to begin")
    manual = live.night("tiny", seed=6)
    ended = [live.ended(one) for one in late]
    names = sorted(str(one.state_name) for one in ended)
    assert names[:2] == ["Cancelled", "Cancelled"]
    assert names[2] in ("Promoted", "Not promoted")
    messages = [str(one.state and one.state.message) for one in ended if one.state_name == "Cancelled"]
    winner = next(one for one in ended if one.state_name != "Cancelled")
    covering = live.record(winner.id, "finished")
    assert all(message.startswith("slot ") and f"is covered by {covering.run}" in message for message in messages)
    live.ended(manual)
    by_hand = live.record(manual, "finished")
    assert by_hand.began >= covering.ended
    assert by_hand.verdict == "UNCHANGED"  # nothing differs from the night before it, so nothing was trained
    (child,) = live.children(manual)
    assert live.record(child.id, "finished").result["reused"]


@pytest.mark.fault("F-19")
@pytest.mark.parametrize("states", [(Pending,), (Running, Cancelling)], ids=["pending", "cancelling"])
def test_run_that_was_taken_and_never_began_is_marked_as_crashed(
    live: Live, monkeypatch: pytest.MonkeyPatch, states: tuple[Callable[[], State], ...]
) -> None:
    """A run whose worker died before it started the process is marked Crashed by the next night."""
    monkeypatch.setattr(reconcile, "START_LIMIT", timedelta(0))
    stranded = live.start("retrain/manual", when=datetime.now(UTC) + timedelta(days=1), dataset="mnist-sample")
    with live.client() as client:
        for state in states:
            client.set_flow_run_state(stranded, state(), force=True)
        (message,) = reconcile.reconcile(live.store)
    assert f"is marked as Crashed: it was {states[-1]().name}" in message
    assert live.run(stranded).state_name == "Crashed"


@pytest.fixture
def webhook(live: Live) -> Iterator[list[str]]:
    """The bodies sent to a webhook that a notification block on the server names; `deploy` makes the automation."""
    received: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

    listener = HTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=listener.serve_forever, daemon=True).start()
    with live.client():
        url = f"http://127.0.0.1:{listener.server_port}/"
        CustomWebhookNotificationBlock(name="any", url=url, json_data={"text": "{{body}}"}).save("nightshift")
    assert live.command("deploy", **live.client_env).returncode == 0
    yield received
    listener.shutdown()


@pytest.mark.fault("F-37")
def test_missing_gpu_is_a_clear_failure_with_a_notification(live: Live, webhook: list[str]) -> None:
    """`device: gpu` on a host without one fails at once; the message says what to do, and reaches a webhook."""
    night = live.night("tiny", seed=7, device="gpu")
    message = str(live.ended(night).state.message)  # type: ignore[union-attr]
    assert "no candidate could be trained" in message
    assert "device 'gpu' was asked for, but this host shows none" in message
    until(lambda: webhook, "the message")
    assert "no candidate could be trained" in webhook[0]
    assert len(live.command("status", "--check").stdout.splitlines()) == 1
    assert live.command("status", "--check").returncode == 1
