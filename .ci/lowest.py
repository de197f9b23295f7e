"""The lowest versions of all dependencies that pyproject.toml states for these extras, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
stated = project["dependencies"] + [line for extra in sys.argv[1:] for line in project["optional-dependencies"][extra]]
lowest: dict[str, str] = {}
for line in stated:
    name, version = re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", line).groups()
    lowest[name] = max(lowest.get(name, ""), version, key=lambda text: [int(part) for part in text.split(".") if part])
for name, version in sorted(lowest.items()):
    sys.stdout.write(f"{name}=={version}\n")
