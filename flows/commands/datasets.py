"""The commands about datasets: list them, add and remove your own."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flows.commands.console import Flag, Json, Text, print_json, print_table, store

app = App(name="datasets", help="List the datasets; add or remove your own.")


@app.default
def list_datasets(*, json: Json = False) -> None:
    """List the datasets."""
    from data import catalogue

    home = store()
    rows = [catalogue.get(home, name) for name in catalogue.names(home)]
    keys = ("name", "title", "n_train", "n_test", "height", "width", "class_names", "licence", "citation")
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
                    f"{row.height}×{row.width}",
                    row.n_classes,
                    row.licence,
                )
                for row in rows
            ],
        )


@app.command(help_epilogue="Example: nightshift datasets add letters ~/letters --classes a b c --licence 'CC BY 4.0'")
def add(
    name: str,
    folder: Path,
    *,
    classes: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)] = (),
    title: Text = "",
    licence: Text = "",
    citation: Text = "",
    mirror_symmetric: Annotated[bool, Flag] = False,
) -> None:
    """Add four IDX files (training and test, images and labels) as a dataset.

    Args:
        name: Name for commands: lower-case letters, digits, dashes.
        folder: Folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files, gzipped or not.
        classes: Names of the labels 0, 1, 2..., in order. Default: the numbers.
        title: Name for reports. Default: the name.
        licence: Licence of the images.
        citation: Reference to cite when results are published.
        mirror_symmetric: An image flipped left to right still belongs to its class.
    """
    from data import catalogue
    from data.importing.options import ImportOptions

    more = {"title": title, "licence": licence, "citation": citation, "mirror_symmetric": mirror_symmetric}
    row = catalogue.add(store(), name, folder, ImportOptions(classes=classes), **more).row  # type: ignore[arg-type]
    print(
        f"{row.name}: {row.n_train:,} + {row.n_test:,} images of {row.height}×{row.width}, {row.n_classes} classes; "
        f"its files are copied and their hashes pinned\n  -> nightshift retrain {row.name}"
    )


@app.command(help_epilogue="Example: nightshift datasets remove letters")
def remove(name: str) -> None:
    """Remove a dataset that you added; its models stay.

    Args:
        name: Name of the dataset.
    """
    from data import catalogue

    catalogue.remove(store(), name)
    print(f"{name} is removed; its models stay")
