"""The variants of every config: a table that says what each is, and changes that are applied."""

import runpy

import pytest
from ml_collections import ConfigDict

from dl.config import base, flatten
from dl.errors import UserError
from dl.training.assembly import assemble
from dl.variants import described, split, vary
from tests.conftest import REPOSITORY

CONFIGS = {path.stem: runpy.run_path(str(path)) for path in sorted((REPOSITORY / "configs").glob("*.py"))}
EACH = [(name, variant) for name, module in CONFIGS.items() for variant in module["VARIANTS"]]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_declares_its_variants(name):
    table = CONFIGS[name]["VARIANTS"]
    assert "smoke" in table
    for variant, line in described(table).items():
        assert line.endswith(".") and len(line) > 7, (variant, line)


@pytest.mark.parametrize(("name", "variant"), EACH)
def test_a_variant_differs_from_the_published_setting(name, variant):
    get_config = CONFIGS[name]["get_config"]
    assert flatten(get_config(variant)) != flatten(get_config())


@pytest.mark.parametrize("name", CONFIGS)
def test_what_the_table_lacks_is_refused(name):
    """Also a word that stands in the file, and an addition to what the table has."""
    for variant in ("config", "dataset", "smoke_config", "smok", "smoke_", "_smoke", "smoke_smoke"):
        with pytest.raises(UserError, match=r"unknown variant .* Choices: .*\bsmoke\b|named twice"):
            CONFIGS[name]["get_config"](variant)


@pytest.mark.parametrize(
    ("name", "variant"),
    [("imagenet_resnet50", "folder_smoke"), ("imagenet_resnet50", "step_lars"), ("cifar10_transfer", "linear_scratch")],
)
def test_a_combination_of_which_a_part_is_not_applied_is_refused(name, variant):
    with pytest.raises(UserError, match="changes nothing beside"):
        CONFIGS[name]["get_config"](variant)


def test_the_order_in_the_name_does_not_matter():
    get_config = CONFIGS["mnist_sda"]["get_config"]
    assert flatten(get_config("quick_labels1000_scratch")) == flatten(get_config("scratch_labels1000_quick"))
    both = get_config("quick_scratch")
    assert both.task.pretraining.steps == 0 and both.model.hidden == (500, 500, 500)


def test_names_may_hold_an_underscore():
    table = dict.fromkeys(("without_3_4", "without_3_4_6_7", "one_tower", "smoke"), print)
    assert split("smoke_without_3_4_6_7_one_tower", table) == ["without_3_4_6_7", "one_tower", "smoke"]
    assert split("without_3_4", table) == ["without_3_4"]
    with pytest.raises(UserError, match="unknown variant '6_7'"):
        split("without_3_4_6_7_6_7", table)


def test_the_published_setting_is_not_changed_by_its_variants():
    config = base()
    assert vary(config, {"more": lambda c: c.update(steps=3)}, "more").steps == 3
    assert isinstance(config, ConfigDict) and config.steps == 0


DATALESS = {"digits", "sonnets", "gaussian_mixture", "random_images", "opinions"}
COSTLY = {"cifar10_transfer", "style_transfer", "usps_adaptation"}  # their variants have tests of their own


@pytest.mark.parametrize(("name", "variant"), [(n, v) for n, v in EACH if v != "smoke" and n not in COSTLY])
def test_what_is_allowed_beside_smoke_is_assembled(name, variant):
    try:
        config = CONFIGS[name]["get_config"](f"{variant}_smoke")
    except UserError as error:
        assert "changes nothing" in str(error)
        return
    if config.dataset.name not in DATALESS or config.task.name in ("visual_words", "bag_of_words"):
        pytest.skip("it needs data")
    if config.mesh.model == 1:
        config.mesh.data = 1
    assemble(config)
