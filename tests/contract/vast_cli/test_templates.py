"""Templates: made, found, edited and deleted."""

from __future__ import annotations

from tests.contract.vast_cli.market import Market


def _template(shop: Market, name: str, *flags: object) -> dict[str, object]:
    """Create a template; return its row."""
    shop.said("create template", "--name", name, "--image", "vendor/image", *flags)
    (row,) = [row for row in shop.raw("search templates") if row["name"] == name]
    assert isinstance(row, dict)
    return row


def test_a_template_keeps_what_was_given(shop: Market) -> None:
    flags = ("--image_tag", "2", "--env", "-e A=b -p 80:80", "--disk_space", "30", "--search_params", "gpu_ram>=20", "--jupyter")
    row = _template(shop, "mine", *flags)

    kept = {name: row[name] for name in ("image", "tag", "env", "recommended_disk_space", "runtype", "use_ssh", "private")}
    assert kept == {
        "image": "vendor/image",
        "tag": "2",
        "env": "-e A=b -p 80:80",
        "recommended_disk_space": "30",
        "runtype": "jupyter",
        "use_ssh": True,
        "private": True,
    }
    filters = row["extra_filters"]
    assert isinstance(filters, dict)
    assert filters["gpu_ram"] == {"gte": 20_000.0}


def test_identical_content_is_the_same_template(shop: Market) -> None:
    row = _template(shop, "mine")

    told = shop.said("create template", "--name", "mine", "--image", "vendor/image")

    assert told == f"Existing Template Found: {row['id']}. User relationship added.\n"
    assert len(shop.raw("search templates")) == 1


def test_a_search_finds_what_it_names(shop: Market) -> None:
    first, second = _template(shop, "one"), _template(shop, "two")

    assert [row["id"] for row in shop.raw("search templates", f"hash_id={first['hash_id']}")] == [first["id"]]
    assert [row["id"] for row in shop.raw("search templates", "name in [two,three]")] == [second["id"]]
    assert shop.raw("search templates", "count_created>0") == []


def test_creations_are_counted(shop: Market) -> None:
    row = _template(shop, "mine")

    shop.said("create instance", shop.offer(), "--template_hash", row["hash_id"], "--raw")

    assert [found["id"] for found in shop.raw("search templates", "count_created>0")] == [row["id"]]


def test_an_edit_has_a_new_hash_and_the_old_one_still_rents(shop: Market) -> None:
    old = _template(shop, "mine")

    told = shop.said("update template", old["hash_id"], "--name", "mine", "--image", "vendor/other")

    (new,) = shop.raw("search templates")
    created = shop.raw("create instance", shop.offer(), "--template_hash", old["hash_id"])
    assert told.startswith("updated template: {")
    assert (new["id"], new["image"]) == (old["id"], "vendor/other")
    assert new["hash_id"] != old["hash_id"]
    assert shop.contract(created["new_contract"]).order.image == "vendor/image"


def test_an_unknown_template_cannot_be_edited(shop: Market) -> None:
    ran = shop.run("update template", "0" * 32, "--name", "x", "--image", "y")

    assert (ran.status, ran.out) == (1, f"No template found with hash_id {'0' * 32}\n")


def test_a_template_is_deleted(shop: Market) -> None:
    first, second = _template(shop, "one"), _template(shop, "two")

    assert shop.said("delete template", "--hash-id", first["hash_id"]) == "Template deleted.\n"
    assert shop.said("delete template", "--template-id", second["id"]) == "Template deleted.\n"

    assert shop.raw("search templates") == []
