"""docs/admin-api.md is what the tables say."""

from pathlib import Path

from only1mcp.admin.page import admin_page
from only1mcp.admin.table import OPERATIONS
from only1mcp.observe.events import KEPT

PAGE = Path(__file__).parents[2] / "docs" / "admin-api.md"
WRITE = """docs/admin-api.md is out of date; write it again with
python -c 'import only1mcp.admin.page as p; print(p.admin_page(), end="")' > docs/admin-api.md"""


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == admin_page(), WRITE


def test_every_operation_and_every_event_has_a_row() -> None:
    page = admin_page()
    for one in OPERATIONS:
        assert f"| `{one.method} {one.path}` |" in page
    for kind in KEPT:
        assert f"| `{kind}` |" in page
