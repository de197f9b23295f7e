"""Damage and forge files of models and checkpoints, to see that nothing worse than ValueError or OSError comes of it.

    python tests/storage/fuzz.py 2000

Half of the mutations are of bytes, half forge: they change what the file says and give it the right digest. Each file
is loaded, or fitted with, in this process: a segmentation fault ends it, other errors than these two are shown.
"""

import json
import sys
import tempfile
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

import fastem
from fastem.storage.checkpoint import CHECKPOINT
from fastem.storage.models import MODEL
from fastem.storage.tensors import read_tensors, write_tensors

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 2)) + 5.0 * RNG.integers(0, 2, size=(60, 1))
LEVELS = (ROWS > 2).astype(float) + (ROWS > 4)
COMMON = {"random_state": 0, "max_iter": 4, "tol": 0.0}
FITS = {
    "full": (fastem.GaussianMixture, {"n_components": 2, "n_init": 2}),
    "tied": (fastem.GaussianMixture, {"n_components": 2, "covariance_type": "tied", "acceleration": "squarem"}),
    "stochastic": (fastem.GaussianMixture, {"n_components": 2, "e_step": "stochastic"}),
    "online": (fastem.GaussianMixture, {"n_components": 2, "learning_method": "online", "batch_size": 20}),
    "Bayesian": (fastem.BayesianGaussianMixture, {"n_components": 2, "covariance_type": "spherical"}),
    "Student": (fastem.StudentTMixture, {"n_components": 2}),
    "categorical": (fastem.CategoricalMixture, {"n_components": 2}),
    "Poisson": (fastem.PoissonMixture, {"n_components": 2}),
    "k-means": (fastem.KMeans, {"n_clusters": 3, "learning_method": "online", "batch_size": 20}),
}
VALUES = [None, True, -1, 0, 3, 2**31, 2**70, -1e300, 1e308, "", "full", "array0", [], {}, [[[1]]], {"array": "array0"}]
VALUES += [{"tuple": []}, {"class": "fastem.engine.stopping:Gain", "fields": {"tol": 1.0}}, {"pairs": [[1, 2]]}]


def rows_of(name):
    return LEVELS if name in ("categorical", "Poisson") else ROWS


class PowerCut(Exception):
    pass


class Saboteur:
    """Ends a fit in the second iteration, so that its checkpoint is that of a running start."""

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration" and context.task_id == 1:
            raise PowerCut


def checkpoint_of(name, path):
    make, options = FITS[name]
    with suppress(PowerCut):
        make(**COMMON, **options, checkpoint=path).set_callbacks(Saboteur()).fit(rows_of(name))


def model_of(name, path):
    make, options = FITS[name]
    fastem.save(make(**COMMON, **options).fit(rows_of(name)), path)


def continue_with(name, path):
    make, options = FITS[name]
    make(**COMMON, **options, checkpoint=path).fit(rows_of(name)).predict(rows_of(name))


def predict_with(name, path):
    fastem.load(path).predict(rows_of(name))


def damage(path, rng):
    """Change bytes."""
    content = bytearray(path.read_bytes())
    match rng.integers(5):
        case 0:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        case 1:
            del content[rng.integers(len(content)) :]
        case 2:
            first = rng.integers(len(content))
            content[first:first] = rng.bytes(rng.integers(1, 30))
        case 3:
            first = rng.integers(len(content))
            content[first : first + 20] = bytes(len(content[first : first + 20]))
        case 4:
            content[:8] = int(rng.choice([0, 1, 2**20, 2**40, 2**63])).to_bytes(8, "little")
    path.write_bytes(content)


def forge(path, kind, rng):
    """Change what the file says, and its digest with it."""
    texts, arrays = read_tensors(path, kind)
    texts = {name: texts[name] for name in kind.texts}
    if arrays and rng.integers(2):
        name = sorted(arrays)[rng.integers(len(arrays))]
        arrays[name] = forged_array(arrays[name], rng)
    else:
        text = [name for name in texts if texts[name][:1] in "{["][rng.integers(2 if kind is CHECKPOINT else 1) - 1]
        forged = json.loads(texts[text])
        forge_within(forged, rng)
        texts[text] = json.dumps(forged)
    write_tensors(path, kind, arrays, texts)


def forged_array(array, rng):
    match rng.integers(6):
        case 0:
            return np.zeros(rng.integers(0, 4, size=rng.integers(0, 4)))
        case 1:
            return array.astype(rng.choice(["f4", "i8", "u1", "?"]))
        case 2:
            return np.concatenate([array, array]) if array.ndim else np.stack([array, array])
        case 3:
            return array[:-1] if array.ndim else array[None]
        case 4:
            return array.T.copy() if array.ndim > 1 else array.reshape(1, -1)
        case _:
            changed = array.copy().reshape(-1)
            if changed.size:
                extremes = [-5, 2**30, 0] if array.dtype.kind in "iub" else [np.nan, -1e308, 1e308, np.inf, 0.0]
                changed[rng.integers(changed.size)] = np.array(rng.choice(extremes)).astype(array.dtype)
            return changed.reshape(array.shape)


def forge_within(value, rng):
    """Put something else in some place of nested lists and dictionaries."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if not isinstance(value[key], dict | list) or rng.integers(6) == 0:
            break
        value = value[key]
    if isinstance(value, dict) and rng.integers(5) == 0:
        del value[key]
    else:
        value[key] = VALUES[rng.integers(len(VALUES))]


def run(number, folder, seed=0, names=tuple(FITS)):
    """Try so many mutations; what came of them, and the errors that should not have come."""
    rng, outcomes, wrong = np.random.default_rng(seed), Counter(), []
    folder = Path(folder)
    good = {}
    for name in names:
        for kind, make in ((CHECKPOINT, checkpoint_of), (MODEL, model_of)):
            path = folder / f"{name}-{kind.name}"
            make(name, path)
            good[name, kind] = path.read_bytes()
    for trial in range(number):
        name, kind = list(good)[trial % len(good)]
        path = folder / "file"
        path.write_bytes(good[name, kind])
        try:
            damage(path, rng) if rng.integers(2) else forge(path, kind, rng)
            mutant = path.read_bytes()
            (continue_with if kind is CHECKPOINT else predict_with)(name, path)
            outcomes["as if it were good"] += 1
        except (ValueError, OSError) as error:
            # A file may be sound and its numbers far from all rows: then the fit has its own words.
            outcomes["refused" if str(path) in str(error) else "refused for its numbers"] += 1
        except Exception as error:  # noqa: BLE001 (this is what is looked for)
            outcomes[type(error).__name__] += 1
            wrong.append((name, kind.name, repr(error)))
            folder.joinpath(f"wrong-{trial}").write_bytes(mutant)
    return outcomes, wrong


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        outcomes, wrong = run(int(sys.argv[1]), scratch, *map(int, sys.argv[2:]))
    sys.stdout.write("\n".join(map(str, [dict(outcomes), *wrong, ""])))
    sys.exit(bool(wrong))
