"""What the commands do. Each failure that a user can cause ends in one line on stderr and exit code 2."""

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import click

import fastem
from fastem.storage.atomic import atomic_write, writable_target

FAILURE = 2
INTERRUPTED = 130

FILE = click.Path(path_type=Path)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _complain("warning", message)
        try:
            # Without its standalone mode click raises what it would print over several lines.
            return program.main(list(arguments) or ["--help"], prog_name="fastem", standalone_mode=False) or 0
        except click.Abort:
            _complain("error", "interrupted")
            return INTERRUPTED
        except click.ClickException as error:
            _complain("error", error.format_message())
        except OSError as error:
            _complain("error", f"{error.filename}: {error.strerror}" if error.filename else error)
        except (ValueError, MemoryError) as error:
            _complain("error", error)
        return FAILURE


def _complain(kind: str, message: object) -> None:
    click.echo(f"fastem: {kind}: {' '.join(str(message).split())}", err=True)


@click.group()
@click.version_option(fastem.__version__)
def program() -> None:
    """Fit mixture models to tables of numbers."""


@program.command()
@click.argument("data", type=FILE)
@click.option(
    "-k", "--components", "n_components", type=click.IntRange(min=1), required=True, help="Number of components."
)
@click.option(
    "--covariance",
    "covariance_type",
    type=click.Choice(["full", "tied", "diag", "spherical"]),
    default="full",
    show_default=True,
    help="Shape of the covariances.",
)
@click.option("--weights", metavar="COLUMN", help="Column of row weights: its name, or its number from 1.")
@click.option(
    "--tol",
    type=click.FloatRange(min=0),
    default=1e-3,
    show_default=True,
    help="Gain in mean log-likelihood that ends the fit.",
)
@click.option("--max-iter", type=click.IntRange(min=1), default=100, show_default=True, help="Most iterations.")
@click.option(
    "--n-init", type=click.IntRange(min=1), default=1, show_default=True, help="Number of starts; the best one counts."
)
@click.option(
    "--reg-covar", type=click.FloatRange(min=0), default=1e-6, show_default=True, help="Added to each variance."
)
@click.option(
    "--seed",
    "random_state",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the starts.",
)
@click.option(
    "--init",
    "init_params",
    type=click.Choice(["kmeans", "k-means++", "random", "random_from_data"]),
    default="kmeans",
    show_default=True,
    help="How to start.",
)
@click.option(
    "--checkpoint", type=FILE, help="Keep the state of the fit in this file; the same command goes on from there."
)
@click.option("-o", "--output", metavar="MODEL", type=FILE, help="Write the fitted model to this file.")
def fit(data: Path, weights: str | None, output: Path | None, **parameters: Any) -> None:
    """Fit a Gaussian mixture to a table and print it.

    DATA is a .csv, .npy, Parquet, Zarr or HDF5 file, or a folder of Parquet files. A .csv may begin with a line of
    column names and is loaded; the others are read in place, however large.
    """
    _check_output(output, data)
    from fastem.cli.progress import watched
    from fastem.cli.report import print_fit
    from fastem.cli.tables import read_table

    table = read_table(data, weights)
    started = perf_counter()
    model = fastem.GaussianMixture(**parameters)
    with watched(model):
        model.fit(table.rows, sample_weight=table.weights)
    seconds = perf_counter() - started
    if output is not None:
        fastem.save(_with_names(model, table.names), output)  # before anything can go wrong with the printing
    print_fit(model, table, seconds)


def _with_names(model: Any, names: tuple[str, ...] | None) -> Any:
    """The model as a fit to a data frame would have left it; rows of a table carry no names."""
    if names is None:
        return model
    import numpy as np

    named = copy(model)
    named.feature_names_in_ = np.array(names, dtype=object)
    return named


@program.command()
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@click.option("-o", "--output", metavar="LABELS", type=FILE, required=True, help="Write to this .npy, .csv or .txt.")
@click.option("--probabilities", is_flag=True, help="Write the probability of each component, not the label.")
@click.option("--weights", metavar="COLUMN", help="Column of row weights in DATA, to be left out.")
def predict(model: Path, data: Path, output: Path, probabilities: bool, weights: str | None) -> None:
    """Label rows with their most probable component.

    Labels count from 0. MODEL is a file that `fastem fit -o` has written. Text files get one line for each row of DATA.
    """
    _check_output(output, model, data)
    write = _writer(output)
    from fastem.cli.tables import read_table

    mixture = fastem.load(model)
    table = read_table(data, weights)
    # Column names are compared here; the estimator would miss them on the bare array.
    fitted_names = vars(mixture).pop("feature_names_in_", None)
    _check_columns(data, table.width, table.names, mixture.n_features_in_, fitted_names)
    answer = mixture.predict_proba(table.rows) if probabilities else mixture.predict(table.rows)
    with atomic_write(output) as file:
        write(file, answer)


def _check_output(output: Path | None, *inputs: Path) -> None:
    """Fail before the work, not after it."""
    if output is None:
        return
    target = writable_target(output)
    if target in [path.resolve() for path in inputs]:
        raise ValueError(f"{output}: the output would overwrite an input")


def _writer(output: Path) -> Callable[[BinaryIO, Any], None]:
    import numpy as np

    def text(file: BinaryIO, answer: Any) -> None:
        np.savetxt(file, answer, fmt="%d" if answer.dtype.kind in "iu" else "%.17g", delimiter=",")

    writers: dict[str, Callable[[BinaryIO, Any], None]] = {".npy": np.save, ".csv": text, ".txt": text}
    if output.suffix.lower() not in writers:
        raise ValueError(f"{output}: unknown suffix {output.suffix!r}, expected .npy, .csv or .txt")
    return writers[output.suffix.lower()]


def _check_columns(data: Path, width: int, names: Any, fitted_width: int, fitted_names: Any) -> None:
    if width != fitted_width:
        raise ValueError(f"{data}: {width} columns, but the model was fitted to {fitted_width}")
    if names is not None and fitted_names is not None and list(names) != list(fitted_names):
        raise ValueError(
            f"{data}: the columns are {', '.join(names)}, but the model was fitted to {', '.join(fitted_names)}"
        )
