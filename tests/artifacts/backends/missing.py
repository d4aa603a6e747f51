"""Packages that cannot be imported, as if they were not installed."""


class Missing:
    """An import hook; put it first in sys.meta_path.

    Args:
        packages: their names.
    """

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def find_spec(self, name: str, *_: object) -> None:
        """Raise for these packages, and leave all others to whoever finds them."""
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
