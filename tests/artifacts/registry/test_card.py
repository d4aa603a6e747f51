"""The model card of a version: from what is recorded, nothing else."""

import yaml

from artifacts.registry import card, champions, versions
from data.home.store import Store

ABOUT = {"name": "mnist", "title": "MNIST", "licence": "CC BY-SA 3.0", "citation": ""}
DOCUMENTS = {
    "metrics": {
        "test": {
            "accuracy": 0.9961,
            "low": 0.9947,
            "high": 0.9971,
            "n_examples": 10_000,
            "per_class": [{"precision": 0.99, "recall": 1.0, "support": 980}, {"recall": 0.5, "support": 20}],
        }
    },
    "training": {"n_parameters": 25_450, "seconds": 24.0, "n_train": 54_999},
    "provenance": {"recipe": "cnn", "parameters": {"epochs": 4}, "seed": 0, "libraries": {"keras": "3.15.1"}},
    "decision": {"verdict": "PROMOTE", "reason": "better by 12 images"},
    "interface": {"height": 28, "width": 28, "class_names": ["zero", "<b>|one"]},
}


def test_a_card_has_what_is_recorded() -> None:
    """In the sections of the field, behind metadata that the Hugging Face Hub reads; hostile names are text."""
    text = card.card("mnist/3", DOCUMENTS, ABOUT)
    header, body = text.removeprefix("---\n").split("\n---\n", 1)
    found = yaml.safe_load(header)
    assert found["pipeline_tag"] == "image-classification"
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9961}]
    titles = [line[3:] for line in body.splitlines() if line.startswith("## ")]
    assert titles[:3] == ["Model details", "Intended use", "Evaluation data and metrics"]
    for said in ("99.61 % (99.47 to 99.71 %)", "`cnn` with epochs=4", "PROMOTE: better by 12 images.", "CC BY-SA 3.0"):
        assert said in body
    assert "\\<b\\>\\|one, 50.00 %" in body
    assert "<b>" not in body


def test_what_is_not_recorded_is_not_invented() -> None:
    """A version of which no document can be read has a card all the same, without figures."""
    text = card.card("mnist/3", {name: {} for name in card.DOCUMENTS}, {"name": "mnist", "title": "mnist"})
    assert "model-index" not in text
    assert "licence of the images: not recorded" in text
    assert "%" not in text.replace("95 % interval", "")


def test_every_new_version_has_a_card_under_its_manifest(two: Store) -> None:
    """And a README explains the folder of the dataset."""
    version = versions.find(two, "mnist/2")
    assert card.CARD in two.files(version.folder)
    champions.verified(two, "mnist/2")
    assert "nightshift models list mnist" in (two.versions("mnist").parent / card.CARD).read_text()
    assert (version.folder / card.CARD).read_text() == card.of_folder("mnist/2", version.folder)
