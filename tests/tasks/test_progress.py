"""Progress events reach the listeners of the process, with and without a Prefect run."""

from tasks.progress import Bar, Event, listening, say


def test_listeners_get_every_event_while_the_block_runs() -> None:
    """After the block nothing is sent any more."""
    events: list[Event] = []
    with listening(events.append):
        say("download", "one of four files", 0.25)
    say("download", "done", 1.0)
    assert events == [Event("download", "one of four files", 0.25)]


def test_bar_works_outside_a_run() -> None:
    """Tests and notebooks call the steps without a server: the listeners get the progress all the same."""
    events: list[Event] = []
    with listening(events.append):
        bar = Bar("train tiny")
        bar(0.5, "epoch 1 of 2")
        bar(1.0, "2 epochs")
    assert [(event.step, event.done) for event in events] == [("train tiny", 0.5), ("train tiny", 1.0)]
