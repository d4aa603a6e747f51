"""Commands about champions: which version is one and why, roll back, bar and lift."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from flows.commands.console import (
    CHAMPIONS,
    DONE,
    NOT_PROMOTED,
    SERVER,
    ExactVersion,
    Flag,
    Json,
    Reason,
    Text,
    VersionName,
    console,
    find_version,
    known_dataset,
    moment,
    native_messages_to,
    print_json,
    ready_to_write,
    store,
)
from flows.settings import user_name

app = App(name="registry")
Waits = Annotated[str, Parameter(help="A version such as mnist/3; a dataset stands for what waits.")]


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift champion mnist --at 2026-11-20")
def champion(dataset: str = "mnist", *, at: Text = "", json: Json = False) -> int:
    """Show which version is champion, or was at a given time.

    Args:
        dataset: Dataset to show the champion of.
        at: Date or time such as 2026-11-20 or 2026-11-20T03:00; a date means its end, times are UTC. Default: the
            present champion, whatever the clock says.
    """
    from artifacts.registry import champions, waiting

    known = known_dataset(dataset)
    waits = None if at else waiting.current(champions.history(store(), known))
    entry = champions.champion_at(store(), known, moment(at)) if at else champions.newest_move(store(), known)
    if json:
        print_json(entry.to_json() if entry else None)
    elif entry:
        when = entry.when[:19].replace("T", " ")
        print(f"{entry.to_version} since {when} UTC ({entry.action} by {entry.who}): {entry.why}")
    else:
        print(f"{dataset} had no champion {'at that time' if at else 'yet'}")
        if not waits:
            print(f"  -> nightshift retrain {dataset}")
    if waits and not json:
        print(f"{waits.sentence()}\n  -> nightshift approve {waits.version} --reason WHY, or decline")
    return DONE if entry else NOT_PROMOTED


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift history mnist")
def history(dataset: str = "mnist", *, json: Json = False) -> None:
    """List every decision about a dataset, oldest first.

    Args:
        dataset: Dataset to list the decisions of.
    """
    from artifacts.registry import champions
    from flows.commands.tables import events_table

    entries = champions.history(store(), known_dataset(dataset))
    if json:
        print_json([entry.to_json() for entry in entries])
    elif entries:
        console().print(events_table(entries))
    else:
        print(f"nothing has been decided about {dataset} yet\n  -> nightshift retrain {dataset}")


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift why mnist/1")
def why(version: VersionName, *, json: Json = False) -> None:
    """Show the decision that promoted a version, with its numbers.

    The events that concern the version follow.
    """
    from artifacts.gate.decision import Decision
    from artifacts.registry import champions
    from flows.commands.tables import decision_table, events_table

    story = champions.version_history(store(), find_version(version).id)
    if json:
        print_json({"decision": story.decision, "history": [entry.to_json() for entry in story.entries]})
    else:
        decision = Decision.from_json(story.decision)
        lines = (f"{decision.verdict}: {decision.reason}", *decision.notes)
        console().print(*lines, sep="\n", markup=False, highlight=False)
        console().print(decision_table(decision, decision.verdict), events_table(story.entries))


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift rollback mnist --reason 'confuses 4 and 9'")
def rollback(dataset: str, *, reason: Reason, to: Text = "", json: Json = False) -> None:
    """Make an earlier version champion again and bar the current one.

    Args:
        dataset: Dataset to roll back.
        to: Version such as mnist/1. Default: the previous champion.
    """
    from artifacts.operations.rollback import lines_so_far, roll_back, sentence
    from flows.settings import prepare_environment

    prepare_environment()
    ready_to_write()
    print("checking the earlier version in a fresh process and on the test images", file=sys.stderr)
    before = lines_so_far(store(), known_dataset(dataset))
    with native_messages_to(store().root / "native.log"):
        entry = roll_back(store(), dataset, who=user_name(), why=reason, to=to or None)
    if json:
        print_json(entry.to_json())
    else:
        print(sentence(entry, before))


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift approve mnist --reason 'looked at its mistakes'")
def approve(version: Waits, *, reason: Reason, json: Json = False) -> int:
    """Make a model that waits for a person champion.

    It waits if it passed the gate under the policy `promotion: ask`. It is scored again first, against the champion of
    this moment; if that has changed since, the gate decides again.
    """
    from artifacts.operations.approval import approve as answer
    from flows.settings import prepare_environment

    prepare_environment()
    print("checking what waits in a fresh process and on the test images", file=sys.stderr)
    with native_messages_to(store().root / "native.log"):
        done = answer(ready_to_write(), _waits(version), who=user_name(), why=reason)
    if json:
        print_json(done.entry.to_json())
    else:
        print(done.sentence())
    return DONE if done.promoted else NOT_PROMOTED


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift decline mnist/3 --reason 'worse on hand-drawn 7s'")
def decline(version: Waits, *, reason: Reason) -> None:
    """Decline a model that waits for a person; the champion stays."""
    from artifacts.operations.approval import decline as answer

    print(answer(ready_to_write(), _waits(version), who=user_name(), why=reason).sentence())


def _waits(name: str) -> str:
    return name if "/" in name else known_dataset(name)


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift bar mnist/2 --reason 'trained on mislabelled data'")
def bar(version: ExactVersion, *, reason: Reason) -> None:
    """Bar the weights of a version from promotion."""
    from artifacts.registry import bars

    entry = bars.bar(ready_to_write(), version, who=user_name(), why=reason)
    print(f"{version} is barred since {entry.when[:10]}: {entry.why}")


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift lift mnist/2 --reason 'the labels were right'")
def lift(version: ExactVersion, *, reason: Reason) -> None:
    """Lift the bar on a version."""
    from artifacts.registry import bars

    bars.lift(ready_to_write(), version, who=user_name(), why=reason)
    print(f"{version} may be promoted again")


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift pin mnist/2 --reason 'the paper cites it'")
def pin(version: ExactVersion, *, reason: Reason) -> None:
    """Keep the data and the report of a version: gc never removes them.

    A version itself is never removed.
    """
    from artifacts.upkeep import pins

    pins.pin(ready_to_write(), version, who=user_name(), why=reason)
    print(f"{version} is pinned: what it was made from stays")


@app.command(group=CHAMPIONS, help_epilogue="Example: nightshift unpin mnist/2")
def unpin(version: ExactVersion) -> None:
    """Undo `pin`."""
    from artifacts.upkeep import pins

    pins.unpin(ready_to_write(), version)
    print(f"{version} is not pinned any more")


@app.command(group=SERVER, help_epilogue="Example: nightshift gc --days 14 --remove")
def gc(
    *,
    keep: int = 20,
    days: float = 30.0,
    gigabytes: float = 0.0,
    horizon: int = 5,
    remove: Annotated[bool, Flag] = False,
    json: Json = False,
) -> None:
    """List what the home no longer needs, with its bytes.

    Nothing is removed without --remove.

    Registered models, and what the champion, earlier champions and pinned versions need, always stay.

    Args:
        keep: Keep so many of each kind, the newest.
        days: Keep what is younger than this.
        gigabytes: Keep no more than this of each kind, even of what the options above keep; 0 means no limit.
        horizon: Number of earlier champions whose data stay, so that a rollback can reach them.
        remove: Remove what is listed, unless a run is under way.
    """
    from artifacts.upkeep import garbage

    items = garbage.find(store(), garbage.Retention(keep, days, gigabytes, horizon))
    freed = garbage.remove(ready_to_write(), items) if remove else 0
    total = sum(item.bytes for item in items)
    if json:
        print_json({"items": [item.to_json() for item in items], "bytes": total, "removed_bytes": freed})
        return
    for item in items:
        where = item.path.relative_to(store().root)
        print(f"{item.bytes / 1e6:10.1f} MB  {item.age_s / 86400:6.1f} days old  {where}")
    done = "removed" if remove else "to be removed with --remove"
    print(f"{len(items)} things, {total / 1e6:.1f} MB: {done}" if items else "nothing to remove")
