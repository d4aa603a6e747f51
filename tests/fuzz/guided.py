"""Coverage-guided: `python -m tests.fuzz.guided READER --minutes 10`; needs atheris, which is in no lock file.

libFuzzer changes files so that more lines of our code are reached; it suits the readers whose parsing is in Python.
"""

import argparse
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run until something fails, or the time is over; libFuzzer prints what it does, and keeps the file that fails."""
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("reader")
    given.add_argument("--minutes", type=float, default=1)
    options = given.parse_args()
    with atheris.instrument_imports(include=["data", "artifacts"]):  # the libraries' code is not what is looked for
        from tests.fuzz.readers import READERS
        from tests.fuzz.test_readers import read
    with tempfile.TemporaryDirectory(prefix="nightshift-fuzz-") as place:
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for index, content in enumerate(READERS[options.reader].seeds().values()):
            (corpus / str(index)).write_bytes(content)

        def once(content: bytes) -> None:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                read(options.reader, content, Path(folder))

        limits = [f"-max_total_time={int(60 * options.minutes)}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=65536"]
        atheris.Setup([sys.argv[0], str(corpus), *limits], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
