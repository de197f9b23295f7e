"""Options and outputs that several commands have."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from click.core import ParameterSource

from fastem.storage.atomic import atomic_write, writable_target

FILE = click.Path(path_type=Path, allow_dash=True)
DATA = click.Path()  # a path, a pattern, a folder or an address
STANDARD_OUTPUT = Path("-")

FAMILIES = {
    "gaussian": "GaussianMixture",
    "bayesian": "BayesianGaussianMixture",
    "student-t": "StudentTMixture",
    "bernoulli": "BernoulliMixture",
    "categorical": "CategoricalMixture",
    "multinomial": "MultinomialMixture",
    "poisson": "PoissonMixture",
}

family = click.option(
    "--family", type=click.Choice(list(FAMILIES)), default="gaussian", show_default=True, help="What a component is."
)
weights = click.option("--weights", metavar="COLUMN", help="Column of row weights: its name, or its number from 1.")
SEEDS = click.IntRange(0, 2**32 - 1)
seed = click.option("--seed", "random_state", type=SEEDS, default=0, show_default=True, help="Seed of the starts.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def threads(command: Any) -> Any:
    """The option that says how many threads passes take: before Numba is imported, which reads it once."""

    def apply(_context: Any, _parameter: Any, value: int | None) -> None:
        if value is not None:
            os.environ["NUMBA_NUM_THREADS"] = str(value)

    option = click.option(
        "--threads",
        type=click.IntRange(min=1),
        callback=apply,
        expose_value=False,
        is_eager=True,
        help="Threads to use.",
    )
    return option(command)


def text_layout(command: Any) -> Any:
    """The options that say how a text file is laid out."""
    command = click.option("--separator", metavar="CHARACTER", help="Between the columns of a text file.")(command)
    decimal = click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Decimal mark of a text file.")
    return decimal(command)


def estimator_of(family: str, parameters: dict[str, Any], context: click.Context) -> Any:
    """An estimator of the family; click.UsageError if an option was given that it does not have.

    What is not given is left to the defaults of the family.
    """
    import fastem

    estimator_type = getattr(fastem, FAMILIES[family])
    known = estimator_type().get_params()
    given = {name for name in parameters if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    for name in given.difference(known):
        option = next(parameter.opts[-1] for parameter in context.command.params if parameter.name == name)
        raise click.UsageError(f"{option} is not for the family {family}.")
    always = {"n_components", "random_state"}
    return estimator_type(**{name: parameters[name] for name in given | always})


def say(answer: dict[str, Any]) -> None:
    """Print JSON; numbers that JSON does not have are null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        if hasattr(value, "tolist"):
            return plain(value.tolist())
        return None if isinstance(value, float) and not abs(value) < float("inf") else value

    click.echo(json.dumps(plain(answer)))


def check_output(output: Path | None, *inputs: str | Path) -> None:
    """Fail before the work, not after it."""
    if output is None or output == STANDARD_OUTPUT:
        return
    target = writable_target(output)
    if target in [Path(path).resolve() for path in inputs]:
        raise ValueError(f"{output}: the output would overwrite an input")


@contextmanager
def opened(output: Path) -> Iterator[BinaryIO]:
    """The file to write, replaced in one step; standard output for `-`."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
    else:
        with atomic_write(output) as file:
            yield file


def writer_of(output: Path) -> Callable[[BinaryIO, Any], None]:
    """How an array is written to this file: by its suffix, as text to standard output."""
    import numpy as np

    def text(file: BinaryIO, answer: Any) -> None:
        np.savetxt(file, answer, fmt="%d" if answer.dtype.kind in "iub" else "%.17g", delimiter=",")

    writers: dict[str, Callable[[BinaryIO, Any], None]] = {".npy": np.save, ".csv": text, ".txt": text}
    if output == STANDARD_OUTPUT:
        return text
    if output.suffix.lower() not in writers:
        raise ValueError(f"{output}: unknown suffix {output.suffix!r}, expected .npy, .csv or .txt")
    return writers[output.suffix.lower()]
