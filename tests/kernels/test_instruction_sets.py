"""Other processors: the same bits without AVX-512 or fused multiply-adds, and code for those that are not here."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_discrete_kernels as discrete
import test_nearest as nearest
import test_same_bits as gaussian
from cases import STRUCTURES
from helpers import kernel_parameters
from llvmlite import binding

from fastem.families.centers import Centers
from fastem.families.covariances import STRUCTURES as STRUCTURE_OF
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.student_t import StudentTMixtureModel
from fastem.kernels import accumulation, passes
from fastem.kernels.clusters import kmeans, lloyd, plusplus, pruned
from fastem.kernels.clusters.history import History
from fastem.kernels.vectors.simd import BLOCK_VECTORS
from fastem.search.seeding import kmeans_plusplus

pytestmark = pytest.mark.slow

# What every x86-64 has: vectors of two doubles, products and sums one after the other.
LEAST = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+64bit,+cmov,+cx8,+fxsr,+mmx,+sse,+sse2"}


def digests():
    """Digests of what every kernel computes, and whether they are those of a machine with AVX-512."""
    found = {structure: gaussian.digest(structure) for structure in STRUCTURES}
    found |= {family: discrete.digest(family) for family in discrete.FAMILIES}
    single, rows, weights = gaussian.PROBLEMS["diag"]
    parameters = accumulation.in_single_precision(kernel_parameters(single))
    found["single"] = digest(accumulation.accumulated(parameters, [(rows, weights)]))
    found["student"] = digest(*student())
    found["k-means"] = nearest.digest()
    found["seeding"] = digest(*clustered())
    found["history"] = digest(*remembered())
    return found | {"AVX-512": BLOCK_VECTORS > 1}


def digest(*results):
    return hashlib.sha256(b"".join(np.asarray(result).tobytes() for result in results)).hexdigest()


def student():
    """Of a diagonal mixture: whose rows have many different distances from its components."""
    problem, rows, weights = gaussian.PROBLEMS["diag"]
    whiteners, _ = STRUCTURE_OF["diag"].whiten(problem.covariances)
    given = STRUCTURE_OF["diag"], problem.weights, problem.means, problem.covariances, whiteners
    model = StudentTMixtureModel(GaussianMixtureModel(*given), np.geomspace(0.7, 60.0, len(problem.weights)))
    density = np.empty(len(rows))
    model.evaluate(rows, log_density=density)
    return accumulation.accumulated(model.kernel_parameters, [(rows, weights)]), density


def clustered():
    rows, weights, centers = nearest.problem(515, 17, 33)
    start = kmeans_plusplus(rows, weights, 33, np.random.RandomState(0))
    return start, *lloyd.lloyd(rows, weights, centers.means, 20, 0.0)


def remembered():
    """Two passes with a history, and its bounds."""
    rows, weights, centers = nearest.problem(2100, 3, 450)
    history, later = History(), Centers(centers.means + 0.01, centers.origin)
    sums = [history.accumulated(each.kernel_parameters, [(rows, weights)], len(rows)) for each in (centers, later)]
    assert history.share_met < 0.9
    return *sums, history._lower, history._worst


def object_sizes(triple):
    """Bytes of the code for another processor of each kernel that `digests` has compiled, by the name of the kernel."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu="generic", features="", opt=1)
    sizes = {}
    for kernel in KERNELS:
        for code in kernel.inspect_llvm().values():
            # The one thing of this processor in it is Numba's own counting of references, long compiled.
            module = binding.parse_assembly(re.sub(r"(tail )?call i8 @llvm\.x86\.atomic.*", "add i8 0, 0", code))
            module.triple, module.data_layout = triple, str(machine.target_data)
            sizes.setdefault(kernel.__name__, []).append(len(machine.emit_object(module)))
    return sizes


KERNELS = (
    passes.fused_lanes,
    passes.score_lanes,
    kmeans.nearest_lanes,
    kmeans.table_lanes,
    plusplus.try_tiles,
    lloyd.lloyd,
    pruned.pruned_tiles,
)
ELSEWHERE = """
import json, test_instruction_sets as tests
print(json.dumps([tests.digests(), tests.object_sizes("aarch64-unknown-linux-gnu")]))
"""


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="not x86-64")
def test_the_least_of_processors_has_the_same_bits_and_others_have_code(tmp_path):
    """In one process without machine code on disk, whose source could not be looked at."""
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder), str(folder.parent), *sys.path])
    environment = os.environ | LEAST | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], env=environment, capture_output=True, text=True, check=True
    )
    found, sizes = json.loads(answer.stdout)
    assert found == digests() | {"AVX-512": False}
    assert all(min(sizes[kernel.__name__]) > 10_000 for kernel in KERNELS)
