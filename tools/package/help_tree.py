"""What a program says of itself: `--help` of it and of all its subcommands, as a tree. Man pages and completions are made
from it, so they know what the program knows."""
import dataclasses
import os
import re
import subprocess

HELP_S = 20
SECTION = re.compile(r"^[A-Z][\w ]*:$")
ENTRY = re.compile(r"^  (\S.*?)(?:\s{2,}(\S.*))?$")
CONTINUED = re.compile(r"^\s{20,}(\S.*)$")


@dataclasses.dataclass
class Option:
    names: list  # ["-h", "--help"]
    value: str  # "" for a flag, else what help calls it.
    choices: list
    text: str


@dataclasses.dataclass
class Command:
    path: list  # ["eagre", "stream", "create"]
    summary: str = ""
    usage: str = ""
    options: list = dataclasses.field(default_factory=list)
    positionals: list = dataclasses.field(default_factory=list)  # (name, text)
    subcommands: list = dataclasses.field(default_factory=list)
    footer: list = dataclasses.field(default_factory=list)  # Lines, as they are.

    def walk(self):
        yield self
        for each in self.subcommands:
            yield from each.walk()


def option_of(head, text):
    match = re.match(r"((?:--?[\w-]+)(?:, ?--?[\w-]+)*)\s*(.*)$", head)
    assert match, f"not an option: {head!r}"
    value = re.sub(r" (Needs|Excludes):.*", "", match.group(2)).replace(" ...", "").replace(" REQUIRED", "")
    choices = re.search(r"\{([^}]+)\}", value)
    if not choices:  # eagred: "spin, adaptive or block".
        choices = re.match(r"(\w+(?:, \w+)* or \w+)(?:$|:|  )", text) if value == "POLICY" else None
    words = re.split(r",\s*|\s+or\s+", choices.group(1)) if choices else []
    return Option(re.split(r",\s*", match.group(1)), re.split(r":", value)[0].strip(), words, re.sub(r" {2,}", " ", text))


def parse(path, text):
    """`text`: what `--help` printed. Returns the command and the names of its subcommands."""
    command, names, section, last, footer = Command(path), [], "", None, False
    for line in text.rstrip("\n").split("\n"):
        if footer:
            command.footer.append(line)
            continue
        entry, continued = ENTRY.match(line), CONTINUED.match(line)
        if line.startswith("Usage:"):
            command.usage = line.removeprefix("Usage:").strip()
        elif not line.strip():
            continue
        elif SECTION.match(line) and line != "Examples:":
            section = line
        elif continued and last is not None:
            last[-1] = f"{last[-1]} {continued.group(1)}".strip()
        elif entry and line.startswith("  -"):
            last = ["option", entry.group(1), entry.group(2) or ""]
            command.options.append(last)
        elif entry and section == "Positionals:":
            last = ["positional", entry.group(1), entry.group(2) or ""]
            command.positionals.append(last)
        elif entry and section == "Subcommands:":
            last = ["subcommand", entry.group(1), entry.group(2) or ""]
            names.append(last)
        elif not command.usage:
            command.summary = f"{command.summary} {line.strip()}".strip()
        else:
            footer = True
            command.footer.append(line)
    command.options = [option_of(head, text) for _, head, text in command.options]
    command.positionals = [(head.split()[0], text) for _, head, text in command.positionals]
    return command, [name for _, name, _ in names]


def help_of(program, path=()):
    """The tree of `program`, an executable, from `path` on."""
    done = subprocess.run([program, *path, "--help"], capture_output=True, text=True, timeout=HELP_S,
                          env={**os.environ, "COLUMNS": "200"}, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"{program} {' '.join(path)} --help: status {done.returncode}: {done.stderr}")
    command, names = parse([os.path.basename(program), *path], done.stdout)
    command.subcommands = [help_of(program, [*path, name]) for name in names]
    return command
