"""A table keeps its cursor on the row, and its cells as they are."""

from textual.app import App, ComposeResult

from only1mcp.tui.tables import LONGEST, Listed, as_text, field


class Names(Listed):
    """One column."""

    columns = ("name",)
    nothing = "nobody"

    def key_of(self, row: dict[str, str]) -> str:
        """The name."""
        return row["id"]

    def cells_of(self, row: dict[str, str]) -> tuple[str, ...]:
        """The name."""
        return (row["name"],)

    def style_of(self, row: dict[str, str]) -> str:
        """Red if it shouts."""
        return "red" if row["name"].isupper() else ""


class Alone(App[None]):
    """Nothing but the table."""

    def compose(self) -> ComposeResult:
        """The table."""
        yield Names()


def named(**names: str) -> list[dict[str, str]]:
    """Rows of ids and names."""
    return [{"id": id, "name": name} for id, name in names.items()]


async def test_the_cursor_stays_on_its_row() -> None:
    async with Alone().run_test() as pilot:
        table = pilot.app.query_one(Names)
        table.show(named(a="Ann", b="Bob"), "2 names")
        table.table.move_cursor(row=1)
        table.show(named(c="Cat", a="Ann", b="Bobby"), "3 names")
        assert table.chosen == {"id": "b", "name": "Bobby"}
        table.show(named(c="Cat", a="Ann", b="Rob"), "3 names")
        assert str(table.table.get_row_at(2)[0]) == "Rob"
        table.show([], "0 names")
        assert table.chosen is None


async def test_text_of_servers_is_no_markup() -> None:
    async with Alone().run_test() as pilot:
        table = pilot.app.query_one(Names)
        table.show(named(a="[/bold] [red]x\ny", b="z" * 100), "2 names")
        await pilot.pause()
        assert str(table.table.get_row_at(0)[0]) == "[/bold] [red]x y"
        assert len(str(table.table.get_row_at(1)[0])) == LONGEST


async def test_a_row_has_one_style_also_when_it_changes() -> None:
    async with Alone().run_test() as pilot:
        table = pilot.app.query_one(Names)

        def styles() -> list[str]:
            return [str(table.table.get_row_at(at)[0].style) for at in range(2)]

        table.show(named(a="Ann", b="BOB"), "2 names")
        assert styles() == ["", "red"]
        table.show(named(a="ANN", b="Bob"), "2 names")
        assert styles() == ["red", ""]


def test_values() -> None:
    assert [field({"a": 0}, "a"), field({"a": ""}, "a"), field({}, "a")] == ["0", "-", "-"]
    assert as_text({"a": "ü"}) == '{\n  "a": "ü"\n}'
