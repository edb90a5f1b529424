from pathlib import Path

import pytest
from pydantic import BaseModel

from curation_dagster.core.registry import layout, mapping, models, technical_file
from curation_dagster.core.registry.parts import Model
from curation_dagster.core.registry.reference import descriptor_reference

DOCS = Path(__file__).parents[3] / "docs" / "archives.md"
MODELS = [
    m
    for module in (models, technical_file, layout, mapping)
    for m in vars(module).values()
    if isinstance(m, type) and issubclass(m, Model) and m.__module__ == module.__name__
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_says_what_it_means(model: type[BaseModel]):
    assert [name for name, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_part_and_field_is_in_the_reference(model: type[BaseModel]):
    section = descriptor_reference().split(f"### {model.__name__}\n")[1].split("\n### ")[0]
    for name, field in model.model_fields.items():
        assert f"| `{field.alias or name}` |" in section


def test_the_reference_in_the_docs_is_not_stale():
    text = DOCS.read_text(encoding="utf-8")
    shown = text.split("<!-- generated: descriptor -->\n")[1].split("<!-- end -->")[0]
    assert shown.strip() == descriptor_reference().strip(), "run `make docs`"
