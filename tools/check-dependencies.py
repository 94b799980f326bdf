#!/usr/bin/env python3
"""Holds every dependency to the licences and bans that deny.toml lists.

cargo-deny reads the same file; it takes minutes to build, so CI uses this reader of `cargo metadata`.
"""
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def licence_ok(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied with the allowed licences."""
    alternatives = re.split(r"\s+OR\s+|/", expression.replace("(", "").replace(")", ""))
    return any(all(part.strip() in allowed for part in re.split(r"\s+AND\s+", one)) for one in alternatives)


def main() -> int:
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(policy["licenses"]["allow"])
    banned = {entry["name"]: entry["reason"] for entry in policy["bans"]["deny"]}
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    problems = []
    for package in metadata["packages"]:
        name, version = package["name"], package["version"]
        if package["source"] is None:
            continue
        if name in banned:
            problems.append(f"{name} {version} is banned: {banned[name]}")
        licence = package["license"] or ""
        exceptions = policy["licenses"].get("exceptions", [])
        extra = {item for entry in exceptions if entry["name"] == name for item in entry["allow"]}
        if not licence_ok(licence, allowed | extra):
            problems.append(f"{name} {version} has licence `{licence}`, which deny.toml does not allow")
        if not package["source"].startswith("registry+"):
            problems.append(f"{name} {version} does not come from a registry")
    for problem in problems:
        print(problem)
    print(f"{len(metadata['packages'])} packages checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
