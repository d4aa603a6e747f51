"""Schedules of a home's own datasets: what may be written, and what is deployed of it."""

from pathlib import Path

import pytest

from data import adding
from data.errors import BadInput, Corrupt
from data.home.store import Store
from flows.server import deployments, schedules
from tests.samples import write_idx_folder


@pytest.mark.parametrize("cron", ["0 3 * * *", " 0  3 * *   * ", "*/5 * * * *", "30 3 * * mon-fri", "0 0 1 1 0"])
def test_what_cron_understands_is_accepted(cron: str) -> None:
    """Five fields, whatever the spaces between them."""
    assert schedules.schedule(cron, "Europe/Berlin").cron == " ".join(cron.split())


@pytest.mark.parametrize(
    "cron", ["", "night", "0 3 * *", "0 3 * * * *", "61 3 * * *", "0 25 * * *", "@daily", "a b c d e", "0 3 * * 9"]
)
def test_what_cron_does_not_understand_is_refused_with_an_example(cron: str) -> None:
    """The refusal names the five fields."""
    with pytest.raises(BadInput, match="not a cron expression of five fields") as refused:
        schedules.schedule(cron, "UTC")
    assert "such as '30 3 * * *'" in str(refused.value)


@pytest.mark.parametrize("zone", ["Berlin", "", "CET+1", "../../etc/passwd", "europe/berlin"])
def test_a_time_zone_is_an_iana_name(zone: str) -> None:
    """Anything else is refused before it is written."""
    with pytest.raises(BadInput, match="is not a time zone"):
        schedules.schedule("0 3 * * *", zone)


def test_schedules_are_kept_in_the_home(store: Store) -> None:
    """Written, read, replaced and removed by dataset; a damaged file is named with what removes it."""
    assert schedules.read(store) == {}
    first, second = (schedules.schedule(f"0 {hour} * * *", "UTC") for hour in (3, 4))
    schedules.write(store, "b", first)
    schedules.write(store, "a", first)
    schedules.write(store, "b", second)
    assert schedules.read(store) == {"a": first, "b": second}
    (store.schedules() / "a.json").write_text('{"cron": "0 3 * * *"}')
    with pytest.raises(Corrupt, match="nightshift datasets schedule a --off"):
        schedules.read(store)
    assert schedules.remove(store, "a")
    assert not schedules.remove(store, "a")
    assert list(schedules.read(store)) == ["b"]


def test_the_nights_of_a_dataset_are_part_of_what_is_deployed(store: Store, tmp_path: Path) -> None:
    """Beside prefect.yaml's own, as long as the catalogue has the dataset."""
    when = schedules.schedule("0 3 * * *", "UTC")
    schedules.write(store, "mine", when)
    assert deployments.whole_plan(store) == deployments.read_plan()
    adding.add(store, "mine", write_idx_folder(tmp_path / "mine", height=9, width=12, n_classes=3))
    (own,) = [one for one in deployments.whole_plan(store).deployments if deployments.OWN in one.tags]
    assert (own.full_name, own.schedules) == ("retrain/mine-nightly", [when])
    assert own.parameters == {"dataset": "mine", "mode": "normal"}
