"""The commands about datasets: list and show them; add, update, accept, rename, remove and schedule your own."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from cyclopts import App, Parameter

from data.errors import BadInput, NightshiftError
from data.fields import described
from data.growth import Growth
from data.importing.options import ImportOptions
from flows.commands.console import Flag, Json, Reason, Text, console, print_json, print_table, ready_to_write, store

if TYPE_CHECKING:
    from data.adding import Added

app = App(
    name="datasets",
    help="List the datasets; add, change and schedule your own.",
    help_epilogue="Example: nightshift datasets show mnist",
)

if TYPE_CHECKING:
    ImportFlags = dict[str, Any]
    GrowthFlags = dict[str, Any]
else:  # a flag for each field; only those that were given are in the dictionary

    def _flags(kind: type, group: str) -> Any:
        fields = {name: _flag(field) for name, field in described(kind).items()}
        return Annotated[TypedDict(kind.__name__, fields, total=False), Parameter(name="*", group=group)]

    def _flag(field: Any) -> Any:
        several = str(field.base).startswith("tuple")
        return Annotated[field.base, Parameter(help=field.help, negative="", consume_multiple=several)]

    ImportFlags = _flags(ImportOptions, "How the source is read")
    GrowthFlags = _flags(Growth, "How a dataset grows (with --grows)")


@app.default
def list_datasets(*, json: Json = False) -> None:
    """List the datasets."""
    from data import catalogue

    home = store()
    rows = [catalogue.get(home, name) for name in catalogue.names(home)]
    keys = ("name", "title", "n_train", "n_test", "height", "width", "channels", "class_names", "licence", "citation")
    if json:
        print_json([{key: getattr(row, key) for key in keys} for row in rows])
    else:
        print_table(
            ("name", "title", "train", "test", "size", "classes", "licence"),
            [
                (
                    row.name,
                    row.title,
                    f"{row.n_train:,}",
                    f"{row.n_test:,}",
                    f"{row.height}×{row.width}{' colour' if row.channels == 3 else ''}",
                    row.n_classes,
                    row.licence,
                )
                for row in rows
            ],
            spare=("licence", "title", "classes"),
        )


@app.command(help_epilogue="Example: nightshift datasets show letters")
def show(name: str, *, json: Json = False) -> None:
    """Show what is known about a dataset: its images, classes, origin and findings, and what refers to it.

    Args:
        name: Name of the dataset.
    """
    from artifacts.operations.known_dataset import known
    from flows.commands.tables import dataset_screen
    from flows.server import deployments

    found = known(store(), name, deployments.schedules_of(store(), name))
    if json:
        print_json(found.to_json())
    else:
        console().print(dataset_screen(found), soft_wrap=True)


@app.command(help_epilogue="Example: nightshift datasets add letters ~/letters --fit crop --licence 'CC BY 4.0'")
def add(
    name: str,
    source: str,
    *,
    title: Text = "",
    licence: Text = "",
    citation: Text = "",
    mirror_symmetric: Annotated[bool, Flag] = False,
    grows: Annotated[bool, Flag] = False,
    options: ImportFlags | None = None,
    growth: GrowthFlags | None = None,
    json: Json = False,
) -> None:
    """Add labelled images as a dataset: a folder, a table, arrays, IDX files or an archive, here or at a URL.

    Every image is read once, brought to one size, and kept in the home; what is wrong with the images is said.
    With --grows, every night reads what is new in the source since.

    Args:
        name: Name for commands: lower-case letters, digits, dashes.
        source: Path or URL of a folder, a file, or an archive.
        title: Name for reports. Default: the name.
        licence: Licence of the images.
        citation: Reference to cite when results are published.
        mirror_symmetric: An image flipped left to right still belongs to its class.
        grows: Images are added to the source, and corrected: every night reads what is new.
    """
    from data import adding
    from flows.commands.progress import counting

    home, given = ready_to_write(), ImportOptions(**(options or {}))
    about = {"title": title, "licence": licence, "citation": citation, "mirror_symmetric": mirror_symmetric}
    settings = _wanted(growth, grows)
    follows = None if settings is None else Growth(**settings)
    with counting(console(stderr=True)) as progress:
        added = adding.add(home, name, source, given, growth=follows, progress=progress, **about)  # type: ignore[arg-type]
    _print_added(added, "added", json=json)


@app.command(help_epilogue="Example: nightshift datasets update letters")
def update(
    name: str,
    *,
    grows: Annotated[bool, Flag] = False,
    reread: Annotated[bool, Flag] = False,
    growth: GrowthFlags | None = None,
    json: Json = False,
) -> None:
    """Read a dataset's source again, with the options with which it was added.

    Args:
        name: Name of the dataset.
        grows: From now on, every night reads what is new in the source.
        reread: Read all files of a growing dataset, also those that look unchanged.
    """
    from data import adding, catalogue
    from flows.commands.progress import counting

    home = ready_to_write()
    before = catalogue.get(home, name)
    _require_no_night(name, "updated")
    with counting(console(stderr=True)) as progress:
        given = _wanted(growth, grows or before.growth is not None)
        added = adding.update(home, name, growth=given, reread=reread, progress=progress)
    if added.taken:
        _print_added(added, added.taken.night.sentence, json=json)
        return
    same = {role: file.raw_sha256 for role, file in before.files.items()} == {
        role: file.raw_sha256 for role, file in added.row.files.items()
    }
    change = "unchanged" if same else f"updated, before {before.n_train:,} + {before.n_test:,} images"
    _print_added(added, change, json=json)


@app.command(help_epilogue="Example: nightshift datasets accept letters --reason 'a new camera since Monday'")
def accept(name: str, *, reason: Reason, json: Json = False) -> None:
    """Say that what changed in the newest snapshot is meant, so that no night ends because of it.

    Args:
        name: Name of a dataset that grows.
    """
    from data import catalogue
    from data.snapshots.snapshot import SnapshotRef
    from data.validation.snapshots import trust
    from flows.settings import user_name

    row = catalogue.get(store(), name)
    if not row.snapshot:
        raise BadInput(f"{name} does not grow, so nothing in it has changed", "see: nightshift datasets show " + name)
    if not reason.strip():
        raise BadInput("a reason is needed", "--reason 'a new camera since Monday'")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    trust(ready_to_write(), SnapshotRef(name, row.snapshot), reason.strip(), user_name(), when)
    text = f"snapshot {row.snapshot[:12]} of {name} is accepted as it is"
    _print({"dataset": name, "snapshot": row.snapshot}, [text, f"  -> nightshift retrain {name}"], json=json)


@app.command(help_epilogue="Example: nightshift datasets rename letters capitals")
def rename(name: str, new: str, *, leave_models: Annotated[bool, Flag] = False, json: Json = False) -> None:
    """Give a dataset of yours another name; registered versions keep theirs.

    Args:
        name: Name of the dataset.
        new: Its new name.
        leave_models: Rename although versions are registered under the old name; they stay there.
    """
    from artifacts.operations.known_dataset import references
    from data import catalogue
    from flows.server import changes

    home = ready_to_write()
    stays = references(home, name).versions
    catalogue.require_own(home, name, "renamed")
    _require_no_night(name, "renamed")
    if stays and not leave_models:
        raise BadInput(
            f"{len(stays)} versions are registered as {stays[0]} to {stays[-1]}, and versions never change their names",
            f"rename the data alone with --leave-models: {new} then starts without a champion, and 'nightshift predict "
            f"--model {name}' goes on",
        )
    row = catalogue.rename(home, name, new)
    lines = [f"{name} is now {row.name}"]
    if stays:
        lines.append(f"{len(stays)} versions stay registered under {name}; {new} has no champion yet")
    lines += _on_the_server(lambda: changes.rename(home, name, new), f"its nights are now retrain/{new}-nightly")
    lines += _refreshed()
    _print({"dataset": new, "before": name, "versions_left": list(stays)}, lines, json=json)


@app.command(help_epilogue="Example: nightshift datasets remove letters")
def remove(name: str, *, files: Annotated[bool, Flag] = False, json: Json = False) -> None:
    """Remove a dataset that you added; its registered models stay.

    Args:
        name: Name of the dataset.
        files: Remove its imported images too; without it they stay in the home.
    """
    from artifacts.operations.known_dataset import references
    from data import catalogue
    from flows.server import changes

    home = ready_to_write()
    catalogue.require_removable(home, name, files=files)
    _require_no_night(name, "removed")
    refers, folder = references(home, name), home.raw(name, "x").parent
    lines = _on_the_server(lambda: changes.unschedule(home, name), "its nights are not scheduled any more")
    catalogue.remove(home, name, files=files)
    lines.insert(0, f"{name} is removed")
    if folder.is_dir():
        lines.append(f"its images stay in {folder}; to remove them, delete that folder")
    if refers.versions:
        lines.append(
            f"{len(refers.versions)} registered versions stay, {refers.versions[0]} to {refers.versions[-1]}"
            + (f"; {refers.champion} is champion, and predicts as before" if refers.champion else "")
        )
    if refers.nights:
        reports = "report of 1 night stays" if refers.nights == 1 else f"reports of {refers.nights:,} nights stay"
        lines.append(f"the {reports} in {home.root / 'runs'}")
    lines += _refreshed()
    _print({"dataset": name, "versions_left": list(refers.versions)}, lines, json=json)


@app.command(help_epilogue="Example: nightshift datasets schedule letters --cron '30 3 * * *' --timezone Europe/Berlin")
def schedule(
    name: str,
    *,
    cron: Text = "",
    every: Annotated[Literal["night", "week"] | None, Parameter(show_default=False)] = None,
    off: Annotated[bool, Flag] = False,
    timezone: str = "UTC",
    json: Json = False,
) -> None:
    """Let the running server train a dataset by itself; the schedule survives restarts and deploys.

    Args:
        name: Name of the dataset.
        cron: When, in five fields: minute, hour, day of month, month, day of week.
        every: The same in a word: night is 05:30, week is 05:30 on Sundays.
        off: Stop it.
        timezone: Time zone of the schedule, such as Europe/Berlin.
    """
    from data import catalogue
    from flows.server import changes, schedules

    if [bool(cron), every is not None, off].count(True) != 1:
        raise BadInput("one of --cron, --every and --off is needed", "such as: --cron '30 3 * * *', or --every night")
    home = ready_to_write()
    if off:
        found = changes.unschedule(home, name)
        text = f"{name} is not trained by itself any more" if found else f"{name} was not scheduled; nothing changed"
        _print({"dataset": name, "schedule": None}, [text], json=json)
        return
    when = schedules.schedule(cron or schedules.EVERY[every or "night"], timezone)
    full_name = changes.schedule(home, catalogue.get(home, name).name, when)
    lines = [f"{name} is trained at '{when.cron}' {when.timezone}, by {full_name}", *_more_at_once()]
    _print({"dataset": name, "schedule": when.model_dump(), "deployment": full_name}, lines, json=json)


def _wanted(growth: dict[str, Any] | None, grows: bool) -> dict[str, Any] | None:
    """Return the settings of growth that were given, or None for a dataset that does not grow."""
    if growth and not grows:
        flag = f"--{next(iter(growth)).replace('_', '-')}"
        raise BadInput(f"{flag} is for datasets that grow", "add --grows")
    return dict(growth or {}) if grows else None


def _more_at_once() -> list[str]:
    return ["  -> nightshift status   shows each dataset's last night"]


def _require_no_night(name: str, done: str) -> None:
    from artifacts.operations.known_dataset import references

    active = references(store(), name).active
    if active:
        raise BadInput(
            f"a night of {name} is running ({active[0]}), and what it reads must not be {done}",
            "wait for its end, or cancel it in the UI; 'nightshift reconcile' finds runs that died",
        )


def _print_added(added: "Added", what: str, *, json: bool) -> None:
    from artifacts.operations.known_dataset import known
    from flows.commands.tables import added_screen
    from flows.server import deployments

    found = known(store(), added.row.name, deployments.schedules_of(store(), added.row.name))
    if json:
        print_json({**found.to_json(), "notes": list(added.notes)})
        _refreshed()
        return
    console().print(added_screen(found, added.notes, what), soft_wrap=True)
    print("\n".join([*_refreshed(), f"  -> nightshift retrain {added.row.name}"]))


def _refreshed() -> list[str]:
    """Let a running server know the datasets, and return what to say about it."""
    from flows.server import changes

    return _on_the_server(lambda: changes.refresh_forms(store()), "the run form of the server lists the datasets anew")


def _on_the_server(change: Any, done: str) -> list[str]:
    """Change something on the server; if that fails, what was done here stays done, and what is left is said."""
    try:
        return [done] if change() else []
    except NightshiftError as error:
        console(stderr=True).print(f"note: {error}", markup=False, soft_wrap=True)
        return []


def _print(value: dict[str, Any], lines: list[str], *, json: bool) -> None:
    if json:
        print_json(value)
    else:
        print("\n".join(lines))
