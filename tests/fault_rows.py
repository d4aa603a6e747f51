"""The faults that must not do harm: what each is, and what happens here; docs/faults.md is made from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        id: "F-01" to "F-50".
        what: the fault.
        here: what happens.
        untested: why no test can show it here; "" where tests do.
    """

    id: str
    what: str
    here: str
    untested: str = ""


FAULTS = (
    Fault(
        "F-01",
        "the process is killed while it downloads",
        "no file with its final name is left; the next run downloads it again",
    ),
    Fault(
        "F-02",
        "a mirror cuts the body short, with an honest or a wrong Content-Length",
        "it is refused, kept in `quarantine/`, and the next mirror is asked",
    ),
    Fault(
        "F-03",
        "a mirror serves an error page or another dataset with status 200",
        "the hash of the content refuses it; the message names every mirror with its reason, and the dataset "
        "if it is a known one",
    ),
    Fault(
        "F-04",
        "403, 503, no name server, no answer",
        "each mirror has its share of a fixed time; files that are verified in the home need no network",
    ),
    Fault(
        "F-05",
        "a gzip bomb, a body without an end",
        "reading stops at the size that the row names; memory stays flat",
    ),
    Fault(
        "F-06",
        "redirects to files, to http, to private addresses, in circles",
        "refused after at most three",
    ),
    Fault(
        "F-07",
        "names in archives and rows that lead out of the folder",
        "refused or read in place; nothing is written outside the home",
    ),
    Fault("F-08", "two runs download the same file", "one downloads, the other waits and verifies"),
    Fault(
        "F-09",
        "a bit of a downloaded file flips on disk",
        "every use hashes it; it is fetched again",
    ),
    Fault(
        "F-10",
        "a Parquet file is cut, or a bit of it flips",
        "the manifest refuses it before anything is parsed, page checksums are a second line; it is made anew",
    ),
    Fault(
        "F-11",
        "the process is killed at any system call that changes the disk",
        "what is published is whole or absent, and the same command again ends as if nothing had happened",
    ),
    Fault(
        "F-12",
        "the disk is full at any write",
        "one message that says so and what to do, nothing half is left, the champion stays; with space again "
        "the next run succeeds",
    ),
    Fault(
        "F-13",
        "fsync reports an error",
        "nothing is published; after a rename the message says what is in place",
    ),
    Fault(
        "F-14",
        "the Prefect server restarts while a night trains",
        "the night goes on and ends well, or is marked as Crashed and its slot is free again",
    ),
    Fault(
        "F-15",
        "the Prefect server is dead when a run reports its end",
        "registry and journal are right; the next run sees that the model is registered, and ends UNCHANGED",
    ),
    Fault(
        "F-16",
        "a worker is stopped or killed while it trains",
        "its runs are marked as Crashed by the next one, which is not blocked",
    ),
    Fault(
        "F-17",
        "the process of a night is killed in any step",
        "nothing runs on, the run is known to have died, the next one resumes after the last complete step",
    ),
    Fault(
        "F-18",
        "SIGTERM or Ctrl-C in any step",
        "exit code 143 or 130 within seconds, one line, a record that says cancelled, nothing registered",
    ),
    Fault(
        "F-19",
        "a run that a worker took and never began",
        "it is marked as Crashed after ten minutes and gives its slot back",
    ),
    Fault(
        "F-20",
        "a run that was given up wakes up and promotes",
        "the champion's generation has moved on: it is refused",
    ),
    Fault(
        "F-21",
        "several runs register and promote at once",
        "versions get numbers of their own, one promotion wins, the others are told that the champion has changed",
    ),
    Fault(
        "F-22",
        "a night by hand and a scheduled one at once",
        "the second waits and says for whom; a GPU trains one model at a time",
    ),
    Fault(
        "F-23",
        "the holder of a lock dies",
        "the kernel releases it; nothing else is a lock",
    ),
    Fault(
        "F-24",
        "a version or a result without manifest, or with a file too many or too few",
        "readers do not see it, `verify` names it",
    ),
    Fault(
        "F-25",
        "the champion pointer is cut, empty, edited, or from an old backup",
        "it is refused with the reason; `verify --repair` rebuilds it from the ledger",
    ),
    Fault(
        "F-26",
        "a model file is exchanged, with or without a new manifest",
        "the manifest finds the first, the ledger's hash of the manifest the second",
    ),
    Fault(
        "F-27",
        "a model file with code, foreign classes, or a bomb in it",
        "it is refused before Keras sees it, and nothing of it runs",
    ),
    Fault(
        "F-28",
        "symbolic links and `..` in the registry",
        "refused, wherever a name or a path is taken",
    ),
    Fault(
        "F-29",
        "a rollback while a night registers, or to a version that is missing or damaged",
        "one waits for the other; a target that does not verify, load and score is refused",
    ),
    Fault(
        "F-30",
        "wrong labels: permuted, shifted, all the same, out of range",
        "validation ends the night; one percent of random swaps is left to the gate, which judges on other labels",
    ),
    Fault(
        "F-31",
        "wrong images: inverted, scaled, turned, blank, copies, test images among the training images",
        "validation ends the night and names the images",
    ),
    Fault(
        "F-32",
        "an empty table, a column that is missing, empty, or of another type",
        "validation fails; nothing passes because there is nothing to check",
    ),
    Fault(
        "F-33",
        "Great Expectations fails, or cannot be imported",
        "the night fails with that error, which is no verdict about the data",
    ),
    Fault(
        "F-34",
        "numbers that are not finite, in loss, metrics or answers",
        "the candidate fails, and is not registered",
    ),
    Fault(
        "F-35",
        "accuracy just below, at and above a limit; worse than the champion",
        "limits are met by equality; every rule has a night that shows it",
    ),
    Fault(
        "F-36",
        "scores from other images than the night's",
        "digests of the test images are recorded and compared; other evidence does not count",
    ),
    Fault(
        "F-37",
        "no GPU, a GPU out of memory, a driver that fails or hangs",
        "one more try with half the batch in a new process, then a failure with advice; the CPU only if that "
        "was allowed",
    ),
    Fault(
        "F-38",
        "the kernel kills a training because memory is short",
        "it is told apart from other deaths, and the night goes on with the other candidates",
    ),
    Fault(
        "F-39",
        "the clock jumps, or summer time begins",
        "order comes from the ledger and from generations; nights are planned in their time zone; a clock "
        "behind the ledger is a warning at the start",
    ),
    Fault(
        "F-40",
        "Prefect's database is locked, read-only or damaged",
        "one sentence with the file's name; the registry does not depend on it",
    ),
    Fault(
        "F-41",
        "events cannot be sent to the server",
        "runs end as they would; alerts are read from the home",
    ),
    Fault(
        "F-42",
        "a command's own server does not start, or its owner dies",
        "one sentence at once; no process is left behind",
    ),
    Fault(
        "F-43",
        "a home that cannot be written, or belongs to somebody else",
        "refused before anything is trained; commands that only ask still answer",
    ),
    Fault(
        "F-44",
        "files of newer or older code",
        "a home that newer code has changed is refused by every run; older files are read; a newer pointer or"
        " ledger is refused and never repaired",
    ),
    Fault(
        "F-45",
        "the same data, seed and code twice",
        "the same bytes of data and the same weights on one machine",
    ),
    Fault("F-46", "the machine was off for five nights", "one night covers all that were missed"),
    Fault(
        "F-47",
        "the address for notifications is dead",
        "the run ends as it would; `nightshift status --check` needs no server",
    ),
    Fault(
        "F-48",
        "passwords in the environment, in URLs and in the source of a dataset",
        "they are in no file of the home but the server's own, which only its owner can read, and in no output",
    ),
    Fault(
        "F-49",
        "bits of the champion rot while it idles",
        "`verify/nightly` hashes every file each morning and fails",
    ),
    Fault(
        "F-50",
        "a pickle with code lies where results are kept",
        "nothing reads pickles: results are references in JSON, arrays are read without them",
    ),
)
