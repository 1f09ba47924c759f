"""The directive ``command``: a command's reference, of the parser that gives its ``--help``.

::

    ```{command} medrev.cli.infer:build_parser
    ```

``{option}`medrev-infer --mask` `` links to an option.
"""

import argparse
import importlib
import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: An option, or a command with what follows it, in a help text.
_CODE = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|\S+\.(?:nii\.gz|tsv|csv|safetensors|yaml))(?!\w)")


class Command(SphinxDirective):
    """What a command is for, its options by group, and its examples."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of the reference."""
        module, _, name = self.arguments[0].partition(":")
        parser: argparse.ArgumentParser = getattr(importlib.import_module(module), name)()
        parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=88)
        found: list[nodes.Node] = [nodes.paragraph("", "", *_text(parser.description or ""))]
        usage = parser.format_usage().removeprefix("usage: ")
        found.append(nodes.literal_block(usage, usage, language="text"))
        for group in parser._action_groups:
            actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
            if actions:
                found.append(nodes.rubric("", group.title or ""))
                entries = (self._entry(parser.prog, action) for action in actions)
                found.append(nodes.definition_list("", *entries, classes=["options"]))
        examples = (parser.epilog or "").strip()
        if examples:
            heading, _, lines = examples.partition("\n")
            code = "\n".join(line.strip() for line in lines.splitlines())
            found.append(nodes.rubric("", heading.rstrip(":")))
            found.append(nodes.literal_block(code, code, language="text"))
        return found

    def _entry(self, program: str, action: argparse.Action) -> nodes.Node:
        term = nodes.term("", "")
        domain = self.env.get_domain("std")
        for name in action.option_strings:
            target = nodes.make_id(f"{program}-{name}")
            if target not in term["ids"]:  # --a-b and --a_b are one place
                term["ids"].append(target)
                self.state.document.note_explicit_target(term)
            domain.add_program_option(program, name, self.env.docname, target)
        text = argparse.HelpFormatter("")._format_action_invocation(action)
        term += nodes.literal(text, text)
        words = action.help % {**vars(action), "prog": program} if action.help else ""
        if action.choices and action.metavar is not None:
            words += f" [{', '.join(map(str, action.choices))}]"
        body = nodes.paragraph("", "", *_text(words))
        return nodes.definition_list_item("", term, nodes.definition("", body))


def _text(words: str) -> Iterator[nodes.Node]:
    """A help text, with options and files in it as code."""
    for number, part in enumerate(_CODE.split(words)):
        if part:
            yield nodes.literal(part, part) if number % 2 else nodes.Text(part)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls it."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
