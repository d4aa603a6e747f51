"""Commands for whoever runs the server: start it, end it, deploy, and ask whether the nights do their work."""

import json as json_module
import sys
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from data.errors import NightshiftError
from flows.settings import prepare_environment, settings

app = App(name="operations", help="The server, its deployments, and the state of the nights.")
server = App(name="server", help="A Prefect server on this machine, with everything on it.")
app.command(server)

Flag = Parameter(negative="")
Json = Annotated[bool, Parameter("--json", negative="", help="Print JSON for a script.")]


@server.command(help_epilogue="Example: nightshift server up --port 4300")
def up(*, port: int = 4200) -> None:
    """Start server, pools, deployments and one worker per pool; does nothing if they run.

    Args:
        port: On the loopback interface.
    """
    from flows.server import stack

    prepare_environment()
    started = stack.up(port)
    print(f"UI:        {started.ui}   the password it asks for is in {settings().home}/server/auth")
    print(f"commands:  . {settings().home}/server/environment   makes `prefect` talk to it")
    print("end it:    make down")


@server.command(help_epilogue="Example: nightshift server down")
def down() -> None:
    """End what `server up` started, and only that."""
    from flows.server import stack

    stack.down()


@app.command(help_epilogue="Example: PREFECT_API_URL=http://127.0.0.1:4200/api nightshift deploy")
def deploy() -> None:
    """Check prefect.yaml and pools/*.json, send them to the server at PREFECT_API_URL, and read them back."""
    from flows.server import deployments

    prepare_environment()
    print("\n".join(deployments.deploy()))


@app.command(help_epilogue="Example: nightshift reconcile")
def reconcile() -> None:
    """Mark runs whose process is gone as Crashed, on the server at PREFECT_API_URL."""
    prepare_environment()
    from flows.runs.reconcile import reconcile as put_in_order

    print("\n".join(put_in_order(settings().store) or ["every run that looks alive is alive"]))


@app.command(help_epilogue="Example: nightshift status --check --success-hours 30 || mail-me")
def status(
    *,
    check: Annotated[bool, Flag] = False,
    not_promoted_nights: int = 30,
    champion_days: int = 90,
    success_hours: int = 36,
    json: Json = False,
) -> int:
    """Say how the nights go. It reads the home alone, so it works when the server is dead.

    Args:
        check: One line for a monitor: exit code 0 when all is well, 1 when a person should look.
        not_promoted_nights: Alert when so many nights in a row promoted nothing.
        champion_days: Alert when a champion is older than so many days.
        success_hours: Alert when no night has succeeded for so many hours.
        json: Print JSON for a script.
    """
    from artifacts.operations.status import Limits, find_alerts, nights
    from artifacts.registry import champions

    store = settings().store
    alerts = find_alerts(store, Limits(not_promoted_nights, champion_days, success_hours))
    if check:
        line = "; ".join(map(str, alerts)) if alerts else "ok: every night has done its work"
        print(line if alerts == [] else f"ALERT {line}")
        return 1 if alerts else 0
    last = {name: records[-1] for name, records in sorted(nights(store).items())}
    rows = [
        (name, champions.champion_id(store, name), one.began[:16].replace("T", " "), one.state, one.verdict)
        for name, one in last.items()
    ]
    if json:
        keys = ("dataset", "champion", "last_began_utc", "last_state", "last_verdict")
        told = [dict(zip(keys, row, strict=True)) for row in rows]
        print(json_module.dumps({"nights": told, "alerts": [vars(one) for one in alerts]}, indent=1))
    else:
        from flows.commands.tables import table

        if rows:
            headers = ("dataset", "champion", "last night (UTC)", "state", "verdict")
            Console().print(table(headers, rows))
        for one in alerts:
            print(f"{one}\n  -> {one.hint}")
    return 1 if alerts else 0


def main() -> None:
    """Run one of these commands and exit with its code, as the console script does."""
    try:
        code = app(result_action="return_value")
    except NightshiftError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
