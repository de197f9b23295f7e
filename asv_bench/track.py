"""Has HEAD become slower or larger than BASE? `python asv_bench/track.py BASE HEAD`; ends with 1 if so, 2 on failure.

Runs `asv continuous` on a selection of the benchmarks that takes a quarter of an hour: shares of a matrix product's
seconds, one a process, in rounds that the two commits take in turn. A figure counts as changed if asv's Mann-Whitney
test says so (p < 0.002) and the medians differ by the factor. Results are kept apart from the history.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import product
from math import isfinite
from pathlib import Path

from asv import results
from asv._stats import mann_whitney_u
from asv.config import Config
from asv.repo import get_repo

HERE = Path(__file__).parent
SELECTION = (
    r"passes\.Pass\.track.*float64, 2e5",
    r"passes\.FullPass\.track.*float32, 1e6 x 8",
    r"passes\.Family\.track.*(t, full\"|'Bernoulli'|'categorical'), 'float64'",
    r"passes\.Scoring\.track.*'predict_proba', 'full'",
    r"passes\.Memory\.peakmem_fit\('full'",
    r"fits\.DefaultFit\.track_matrix.*'full'",
    r"fits\.SmallFitInProducts\.track.*'GaussianMixture'",
    r"fits\.Start\.track.*'Lloyd'",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="commit to compare with")
    parser.add_argument("head", metavar="HEAD", help="commit that may have become slower")
    parser.add_argument("--rounds", type=int, default=8, help="fewer than 7 cannot show anything")
    parser.add_argument("--factor", type=float, default=1.05, help="how many times as long counts")
    parser.add_argument("-b", "--bench", action="append", help="regular expressions of asv, for the selection")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configuration = own_configuration(Path(folder))
        worse = run(configuration, options)
        show(configuration, options)
    sys.exit(worse)


def own_configuration(folder):
    """That of asv, with results in a folder of their own."""
    settings = json.loads((HERE / "asv.conf.json").read_text(encoding="utf-8"))
    for name in ("repo", "benchmark_dir", "env_dir", "html_dir"):
        settings[name] = str((HERE / settings[name]).resolve())
    settings["results_dir"] = str(folder / "results")
    settings["install_command"] = [line.replace("{conf_dir}", str(HERE)) for line in settings["install_command"]]
    path = folder / "asv.conf.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def run(configuration, options):
    """What asv ends with: 1 if something is worse."""
    asv = [sys.executable, "-m", "asv"]
    subprocess.run([*asv, "machine", "--yes", "--config", configuration], check=True, stdout=subprocess.DEVNULL)
    command = [*asv, "continuous", "--config", configuration, "--interleave-rounds", "--show-stderr"]
    command += ["--attribute", f"rounds={options.rounds}", "--factor", str(options.factor)]
    for expression in options.bench or SELECTION:
        command += ["--bench", expression]
    ended = subprocess.run([*command, options.base, options.head], cwd=HERE)
    if ended.returncode not in (0, 1):
        print(f"asv ended with {ended.returncode}: a benchmark failed", file=sys.stderr)
        sys.exit(2)
    return ended.returncode


def show(configuration, options):
    """All figures of the two commits, the greatest change first: what, by how much, how sure."""
    settings = Config.load(str(configuration))
    repository = get_repo(settings)
    commits = [repository.get_hash_from_name(name) for name in (options.base, options.head)]
    before, after = (dict(figures(settings, commit)) for commit in commits)
    rows = []
    for name in before.keys() & after.keys():
        (old, samples), (new, others) = before[name], after[name]
        enough = samples and others and len(samples) > 1 < len(others)
        p = mann_whitney_u(samples, others)[1] if enough else None
        rows.append((new / old, "one value" if p is None else f"p = {p:.4f}", old, new, name))
    print(f"\n{'times as much':>13}  {'how sure':<11} {options.base:>12} {options.head:>12}")
    for ratio, sure, old, new, name in sorted(rows, reverse=True):
        print(f"{ratio:13.3f}  {sure:<11} {old:12.4g} {new:12.4g}  {name}")


def figures(settings, commit):
    """Names with parameters, and their value and samples."""
    for path in Path(settings.results_dir).glob(f"*/{commit[:8]}-*.json"):
        result = results.Results.load(str(path))
        for name in result.get_all_result_keys():
            parameters = result.get_result_params(name)
            values = result.get_result_value(name, parameters)
            samples = result.get_result_samples(name, parameters)
            for case, value, sample in zip(product(*parameters), values, samples, strict=True):
                if value is not None and isfinite(value):
                    yield f"{name}({', '.join(case)})", (value, sample)


if __name__ == "__main__":
    main()
