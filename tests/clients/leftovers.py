"""What a data directory has made on this host, and what of it is still there.

Other data directories, and other programs, are none of our business: only names that the directory's own list
has are looked for, mounts below it, and processes that use it. As a program it prints what is left of
`remember DIR FILE` after `down`: `leftovers.py check DIR FILE` fails if there is anything.
"""

import json
import sys
from pathlib import Path

NAMESPACES = Path("/run/netns")


class Traces:
    """The names that a data directory has made, as far as they were seen."""

    def __init__(self, data_dir, namespaces=()):
        self.data_dir, self.namespaces = Path(data_dir), set(namespaces)

    def remember(self):
        """Learns the names from the agent's list; call it before `down`."""
        listing = self.data_dir / "agent" / "local.jsonl"
        for line in listing.read_text().splitlines() if listing.exists() else []:
            try:
                facts = json.loads(line)
            except json.JSONDecodeError:
                # The last line of a process that was killed: what it names was not made yet.
                continue
            for kind, value in facts.items():
                if kind in ("vpc", "vpc_gone"):
                    self.namespaces.update([value, f"{value}.outside"])
                elif kind == "instance":
                    self.namespaces.add(value["id"])
                elif kind == "instance_gone":
                    self.namespaces.add(value)

    def left(self):
        """Everything that is still there, in words."""
        found = [f"namespace {name}" for name in sorted(self.namespaces) if (NAMESPACES / name).exists()]
        below = f"{self.data_dir.resolve()}/"
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        found += [f"mount {at}" for at in mounts if at.startswith(below)]
        found += [f"process {pid}" for pid in self.processes()]
        return found

    def processes(self):
        """Processes that work in the directory, or were told about it."""
        ours = str(self.data_dir.resolve())
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = entry.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
                is_ours = "sekimori" in words[0] and ours in words
                if is_ours or str(entry.joinpath("cwd").readlink()).startswith(f"{ours}/"):
                    yield int(entry.name)
            except OSError:
                continue


def main(verb, data_dir, memory):
    if verb == "remember":
        traces = Traces(data_dir)
        traces.remember()
        Path(memory).write_text("\n".join(sorted(traces.namespaces)))
        return 0
    left = Traces(data_dir, Path(memory).read_text().split()).left()
    for what in left:
        print(f"left behind: {what}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
