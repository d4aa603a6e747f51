"""Commands for whoever runs the server: start it, stop it, deploy, clean up, and check that nights succeed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App

from flows.commands.console import (
    NIGHTS,
    SERVER,
    Flag,
    Json,
    Reason,
    Text,
    known_dataset,
    print_json,
    print_table,
    ready_to_write,
    store,
)
from flows.server import connection
from flows.settings import prepare_environment, set_environment, settings, user_name

if TYPE_CHECKING:
    from artifacts.registry.keyring import Keyring
    from data.home.store import Store

app = App(name="admin")
server = App(name="server", help="Start or stop a Prefect server on this machine.", group=SERVER)
keys = App(name="keys", help="Keys that sign the registry; none are needed.", group=SERVER)
app.command(server)
home = App(name="home", help="Back up the home, and restore it elsewhere.", group=SERVER)
app.command(home)
app.command(keys)


@home.command(help_epilogue="Example: nightshift home backup /backups/nightshift-monday.tar")
def backup(file: Path) -> None:
    """Write the home into one file, which only its owner can read; nights may run meanwhile.

    Left out are the server with its password, leftovers and logs.

    Args:
        file: New file outside the home; compressed if its name ends in .gz.
    """
    from artifacts.upkeep import backup as backups

    size = backups.backup(ready_to_write(), file)
    print(f"{file} has {size / 1e6:.1f} MB; restore it into an empty home: nightshift home restore {file}")


@home.command(help_epilogue="Example: NIGHTSHIFT_HOME=/srv/nightshift nightshift home restore monday.tar")
def restore(file: Path) -> int:
    """Put a backup into an empty home, and check every file of it.

    Args:
        file: What `nightshift home backup` wrote.
    """
    from artifacts.operations.verify import check_home
    from artifacts.upkeep import backup as backups

    count = backups.restore(store(), file)
    report = check_home(store())
    for one in report.findings:
        print(f"{one.subject}: {one.problem}\n  -> {one.hint}")
    print(f"restored {count:,} files into {store().root}; {report.sentence}")
    return 1 if report.serious else 0


@server.command(help_epilogue="Example: nightshift server up --port 4300")
def up(*, port: int = 4200, foreground: Annotated[bool, Flag] = False) -> None:
    """Start server, pools, deployments and one worker per pool, unless they are running.

    Args:
        port: Port on 127.0.0.1.
        foreground: Run until SIGTERM or Ctrl-C, with messages on standard output: for containers and systemd.
    """
    from flows.server import stack, supervisor

    prepare_environment()
    if foreground:
        url = stack.prepare_foreground(port)
        set_environment(stack.client_environment(store(), url))
        supervisor.run(url)
        return
    started = stack.up(port)
    print(f"UI:        {started.ui}   its password is in {settings().home}/server/auth")
    print(f"commands:  . {settings().home}/server/environment   lets `prefect` and `nightshift deploy` reach it")
    print("stop it:   make down")


@server.command(help_epilogue="Example: nightshift server down")
def down() -> None:
    """Stop what `server up` started, and nothing else."""
    from flows.server import stack

    stack.down()


@keys.command(help_epilogue="Example: NIGHTSHIFT_KEYS=~/.config/nightshift/keys nightshift keys new")
def new(*, name: Text = "", replace: Annotated[bool, Flag] = False) -> None:
    """Make an Ed25519 key pair in the folder NIGHTSHIFT_KEYS.

    From then on this machine signs every ledger line and version, and refuses what no trusted key vouches for.

    Args:
        name: Whose it is. Default: the user.
        replace: Rotate the key: the old private key is kept under another name, its signatures stay valid.
    """
    key = _keyring().new(name or user_name(), replace=replace)
    print(f"{key.id}  {key.public}  {key.name}")
    print("next: nightshift keys seal --reason WHY, which vouches for what is in the ledgers so far")


@keys.command(name="list", help_epilogue="Example: nightshift keys list")
def list_keys(*, json: Json = False) -> None:
    """List the trusted keys."""
    known = list(_keyring().trusted().values())
    if json:
        print_json([vars(key) for key in known])
    else:
        state = {True: "revoked", False: "trusted"}
        print_table(("key", "name", "state", "public"), [(k.id, k.name, state[k.revoked], k.public) for k in known])


@keys.command(help_epilogue="Example: nightshift keys trust MCowBQ... --name ada")
def trust(public: str, *, name: str) -> None:
    """Trust another machine's public key.

    Args:
        public: The key, as that machine's `nightshift keys list` shows it.
        name: Whose it is.
    """
    key = _keyring().trust(public, name)
    print(f"{key.id} is trusted as {key.name}")


@keys.command(help_epilogue="Example: nightshift keys revoke 1f0c9a2b7d3e4f55")
def revoke(key: str) -> None:
    """Let a key sign nothing new.

    Its lines stay valid where a later line of another trusted key vouches for them: seal first.

    Args:
        key: Its id, as `nightshift keys list` shows it.
    """
    revoked = _keyring().revoke(key)
    print(f"{revoked.id} ({revoked.name}) is revoked; check the home: nightshift verify")


@keys.command(help_epilogue="Example: nightshift keys seal mnist --reason 'compared with the backup of Monday'")
def seal(dataset: Text = "", *, reason: Reason) -> None:
    """Vouch for all lines of a ledger so far, with a signed line of its own.

    Args:
        dataset: Dataset whose ledger it is. Default: all that have one.
    """
    from artifacts.registry import champions, signing, versions

    home = store()
    for name in [known_dataset(dataset)] if dataset else versions.datasets(home):
        if champions.history(home, name):
            entry = signing.seal(home, name, who=user_name(), why=reason)
            print(f"{name}: the {entry.seq - 1} lines before line {entry.seq} are vouched for")


def _keyring() -> "Keyring":
    """Return the keys in NIGHTSHIFT_KEYS.

    Raises:
        BadInput: it is not set, or lies in the home.
    """
    from artifacts.registry import keyring
    from data.errors import BadInput

    found = keyring.of(store())
    if found is None:
        raise BadInput("NIGHTSHIFT_KEYS is not set", "set it to a folder outside of the home, for your user alone")
    return found


@app.command(group=SERVER, help_epilogue="Example: PREFECT_API_URL=http://127.0.0.1:4200/api nightshift deploy")
def deploy() -> None:
    """Deploy prefect.yaml and pools/*.json to a server.

    The files are checked, sent to the server at PREFECT_API_URL, read back and compared.
    """
    prepare_environment()
    ready_to_write()
    with connection.server() as ready, connection.explained():
        from flows.server import deployments

        ready()
        notes: list[str] = []
        print("\n".join(deployments.deploy(notes.append) + notes))


@app.command(group=SERVER, help_epilogue="Example: nightshift reconcile")
def reconcile() -> None:
    """Mark runs whose process is gone as Crashed.

    On the server at PREFECT_API_URL and in the home. Every night does this too.
    """
    prepare_environment()
    ready_to_write()
    with connection.server() as ready, connection.explained():
        from flows.runs.reconcile import reconcile as mark_crashed_runs

        ready()
        print("\n".join(mark_crashed_runs(store()) or ["no crashed runs found"]))


@app.command(group=SERVER, help_epilogue="Example: nightshift doctor --repair")
def doctor(*, repair: Annotated[bool, Flag] = False, load: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """Find what is wrong with environment, home and server.

    Each finding has one line and what to do. Exit code 0 if nothing needs action.

    Args:
        repair: Mend what needs no guess; a copy of what is changed stays in quarantine/ of the home.
        load: Load every version that a rollback may need, too.
    """
    from flows.doctor.examination import examine

    prepare_environment()
    found = examine(store(), repair=repair, load=load)
    if json:
        print_json(found.to_json())
    else:
        for line in found.repaired:
            print(f"repaired: {line}")
        for area, findings in found.findings.items():
            print(f"{area}: {found.looked_at[area]}")
            for one in findings:
                print(f"  {'PROBLEM' if one.serious else 'note'}  {one.subject}: {one.problem}\n    -> {one.hint}")
        print(f"{len(found.serious)} problems are left" if found.serious else "nothing needs action")
    return 1 if found.serious else 0


@app.command(group=NIGHTS, help_epilogue="Example: nightshift status --check --success-hours 30 || mail-me")
def status(
    *,
    check: Annotated[bool, Flag] = False,
    not_promoted_nights: int = 30,
    champion_days: int = 90,
    success_hours: int = 36,
    json: Json = False,
) -> int:
    """Show each dataset's last night, and alerts.

    It reads the home alone, so it works when the server is down.

    Args:
        check: Print one line for a monitor and exit with 0 if all is well, 1 if not.
        not_promoted_nights: Alert after this many consecutive nights without a promotion.
        champion_days: Alert when a champion is older than this many days.
        success_hours: Alert when no night has succeeded for this many hours.
    """
    from artifacts.operations.status import Limits, find_alerts, nights, notes

    here = store()
    alerts = find_alerts(here, Limits(not_promoted_nights, champion_days, success_hours))
    if check:
        print(f"ALERT {'; '.join(map(str, alerts))}" if alerts else "ok: every dataset's last night succeeded")
        return 1 if alerts else 0
    last = {name: records[-1] for name, records in sorted(nights(here).items())}
    rows = [
        (name, _champion(here, name), one.began[:16].replace("T", " "), one.state, one.verdict)
        for name, one in last.items()
    ]
    if json:
        keys = ("dataset", "champion", "last_began_utc", "last_state", "last_verdict")
        night_rows = [dict(zip(keys, row, strict=True)) for row in rows]
        print_json({"nights": night_rows, "alerts": [vars(one) for one in alerts], "notes": notes(here)})
    else:
        if rows:
            print_table(("dataset", "champion", "last night (UTC)", "state", "verdict"), rows)
        for note in notes(here):
            print(note)
        for one in alerts:
            print(f"{one}\n  -> {one.hint}")
    return 1 if alerts else 0


def _champion(here: "Store", dataset: str) -> str | None:
    """Return the champion's name, or that its registry is damaged, which is an alert of its own."""
    from artifacts.registry import champions
    from data.errors import Corrupt

    try:
        return champions.champion_id(here, dataset)
    except Corrupt:
        return "damaged"
