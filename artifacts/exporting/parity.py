"""Does an export answer as its version did? Asked in a fresh process that has none of our code."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from artifacts.exporting import reproduce
from artifacts.exporting.formats import Format
from artifacts.models import bundle
from data.errors import Broken

TOLERANCE = 1e-3  # of any probability, as in the serving check; measured are 0 to 3e-7
TIMEOUT_S = 900.0  # TensorFlow is imported in it: 10 s, minutes on a machine that is busy
ENVIRONMENT = ("KERAS_BACKEND=tensorflow", "CUDA_VISIBLE_DEVICES=", "JAX_PLATFORMS=cpu", "TF_CPP_MIN_LOG_LEVEL=2")


@dataclass(frozen=True)
class Parity:
    """What the fresh process measured for one format.

    Args:
        format: its name.
        library: what loaded it, as "onnxruntime 1.32.0".
        max_abs_diff: largest difference of any probability from the recorded one.
        argmax_equal: whether the most probable class of every image is the recorded one.
        n_requests: number of images in the request set.
        error: why it could not be loaded or asked; "" if it could.
    """

    format: str
    library: str = ""
    max_abs_diff: float = 1.0
    argmax_equal: bool = False
    n_requests: int = 0
    error: str = ""

    @property
    def problem(self) -> str:
        """Why it is no faithful copy of the version; "" if it is one."""
        if self.error:
            return f"{self.format} cannot be loaded without Nightshift's code: {self.error}"
        if not self.max_abs_diff <= TOLERANCE:
            return (
                f"{self.format} gives probabilities that differ from the recorded ones by {self.max_abs_diff:.2g} "
                f"(at most {TOLERANCE:g})"
            )
        return "" if self.argmax_equal else f"{self.format} gives other classes than the recorded ones"


def measure(folder: Path, version: Path, formats: Sequence[Format], python: str = sys.executable) -> tuple[Parity, ...]:
    """Ask every format of an export the requests that are stored with its version.

    Args:
        folder: the export.
        version: the folder of the version.
        formats: what was exported.
        python: the interpreter; of a bare environment, too.

    Raises:
        Broken: the process died, or did not answer in time.
    """
    names = [row.name for row in formats]
    files = [folder, version / bundle.REQUESTS, version / bundle.RESPONSES]
    try:
        done = subprocess.run(
            # -I: neither PYTHONPATH nor the working directory is a place to import from
            ["env", *ENVIRONMENT, python, "-I", reproduce.__file__, *map(str, files), *names],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Broken(
            f"the exported model did not answer within {TIMEOUT_S:g} s", "try again when the machine is less busy"
        ) from None
    except ValueError:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise Broken(
            f"the process that checks the exported model ended with code {done.returncode}: {tail}",
            "export one format at a time to see which one it is",
        ) from None
    return tuple(Parity(name, **values) for name, values in found.items())


def problems(measured: Sequence[Parity]) -> Iterator[str]:
    """Yield what is wrong with each format that is no faithful copy."""
    yield from (one.problem for one in measured if one.problem)
