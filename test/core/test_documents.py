"""What the documents say can be followed: links lead somewhere, commands are those that there are, tutorials run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from aue_crl_core.cli.main import app, main

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "examples", "research", "aue_crl_core", "test")
DOCUMENTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
"""By the order in which they are run; a later one reads what an earlier one has written."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What a link to a heading ends in: its words in small letters, with hyphens between them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            found.append(link)
    return found


def commands(text: str) -> list[list[str]]:
    """The command lines of `aue-crl` in code or between backticks, as words without the punctuation around them."""
    lines = re.findall(r"\baue-crl ([a-z][^`#|\"\n]*)", text.replace("\\\n", " "))
    return [[word.strip(".,:;()'") for word in line.split()] for line in lines]


def unknown(words: list[str]) -> list[str]:
    """What of a command line there is not: the command, or options of it."""
    table = typer.main.get_command(app)
    if words[0] not in table.commands:
        return words[:1]
    _, command, _ = table.resolve_command(typer.Context(table), words[:1])
    known = {"--help", *(name for parameter in command.params for name in parameter.opts + parameter.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return sorted(options - known)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_what_is_there(path):
    assert broken_links(path) == []


@pytest.mark.parametrize("path", [*DOCUMENTS, *TUTORIALS], ids=name_of)
def test_commands_and_their_options_are_there(path):
    assert {" ".join(words): unknown(words) for words in commands(path.read_text()) if unknown(words)} == {}


def test_what_leads_nowhere_is_found(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("# A part\n[x](#a-part) [y](#b) [z](gone.md) [w](https://x)\n```\n# No part\n[v](code)\n```\n")
    assert broken_links(document) == ["#b", "gone.md"]


def test_what_is_no_command_or_option_is_found():
    told = commands(
        "`aue-crl run 0 --view --no-such-thing`, (`aue-crl walk`)\n    aue-crl report a \\\n  -o b --film=c  # -x"
    )
    assert [unknown(words) for words in told] == [["--no-such-thing"], ["walk"], []]


def cells(tutorial: Path) -> list[dict]:
    return [cell for cell in json.loads(tutorial.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=name_of)
def test_tutorials_are_kept_without_what_they_print(tutorial):
    assert [cell for cell in cells(tutorial) if cell["outputs"] or cell["execution_count"]] == []


def test_tutorials_run(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    pyplot.switch_backend("agg")
    for tutorial in TUTORIALS:
        names: dict[str, object] = {}
        for cell in cells(tutorial):
            source = "".join(cell["source"])
            if source.startswith("%%bash\n"):
                with pytest.raises(SystemExit) as ended:
                    main(shlex.split(source.removeprefix("%%bash\naue-crl ")))
                assert ended.value.code == 0
            else:
                exec(compile(source, tutorial.name, "exec"), names)
    pyplot.close("all")
    assert (tmp_path / "report.html").is_file()
    assert {"began", "peaked", "ended"} == set(names["events"]["phase"])
    assert "happiness" in set(names["events"]["expression"])
