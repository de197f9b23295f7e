"""How good is `track.py` on this machine? `python asv_bench/calibrate.py`: some hours, best on an idle machine.

In a clone, a commit on top of HEAD changes nothing, and another one makes full passes longer: the scores of every
seventh tile are computed again, so often that a pass takes about 1.15 times as long. `track.py` is asked about
either, ten times: the first should be called slower at most once, the second at least nine times.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCORE = re.compile(r"^( +)((?:parameters\.)?log_joint\(.*\))\n", re.MULTILINE)  # in the loop over the tiles of a pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="of each kind")
    parser.add_argument("--again", type=int, default=3, help="times that the planted change repeats a score")
    parser.add_argument("arguments", nargs="*", help="for track.py, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "fastem"
        git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
        skipped = shutil.ignore_patterns(".asv")
        shutil.copytree(ROOT / "asv_bench", clone / "asv_bench", ignore=skipped, dirs_exist_ok=True)  # edits included
        base, same, slower = commits(clone, options.again)
        for kind, head in (("unchanged", same), ("planted", slower)):
            flagged = 0
            for run in range(options.runs):
                command = [sys.executable, str(clone / "asv_bench" / "track.py"), base, head, *options.arguments]
                ended = subprocess.run(command, capture_output=True, text=True)
                flagged += ended.returncode == 1
                print(f"{kind}, run {run + 1}: {('equal', 'slower', 'failed')[ended.returncode]}", flush=True)
                print(ended.stdout[ended.stdout.rfind("times as much") :], ended.stderr, sep="\n", flush=True)
            print(f"{kind}: called slower in {flagged} of {options.runs} runs", flush=True)


def commits(clone, again):
    """HEAD, a commit equal to it and a slower one."""
    base = git(clone, "rev-parse", "HEAD")
    git(clone, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "Change nothing")
    same = git(clone, "rev-parse", "HEAD")
    path = clone / "fastem" / "kernels" / "passes.py"
    loop = rf"\g<0>\1for _ in range({again} if t % 7 == 0 else 0):\n\1    \2\n"
    text, found = SCORE.subn(loop, path.read_text(encoding="utf-8"), count=1)
    if not found:
        sys.exit("found no place to plant the change in")
    path.write_text(text, encoding="utf-8")
    git(clone, "commit", "--quiet", "--no-verify", "-m", "Score every seventh tile again", str(path))
    return base, same, git(clone, "rev-parse", "HEAD")


def git(folder, *arguments):
    identity = "-c", "user.name=calibration", "-c", "user.email=calibration@localhost"
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
