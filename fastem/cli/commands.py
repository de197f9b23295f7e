"""What the commands do. Each failure that a user can cause ends in one line on stderr and exit code 2."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import click

import fastem
from fastem.storage.atomic import atomic_write, writable_target

FAILURE = 2
INTERRUPTED = 130

FILE = click.Path(path_type=Path)
DATA = click.Path()  # a path, a pattern, a folder or an address


def text_layout(command: Any) -> Any:
    """The options that say how a text file is laid out."""
    command = click.option("--separator", metavar="CHARACTER", help="Between the columns of a text file.")(command)
    decimal = click.option("--decimal", type=click.Choice([".", ","]), default=".", help="Decimal mark of a text file.")
    return decimal(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Warnings are of a command that succeeds: of one that fails the error is the one line.
    """
    with warnings.catch_warnings():
        said: list[Warning | str] = []
        warnings.showwarning = lambda message, *_, **__: said.append(message)
        try:
            # Without its standalone mode click raises what it would print over several lines.
            code = program.main(list(arguments) or ["--help"], prog_name="fastem", standalone_mode=False) or 0
            for message in said:
                _complain("warning", message)
            return code
        except click.Abort:
            _complain("error", "interrupted")
            return INTERRUPTED
        except click.ClickException as error:
            _complain("error", error.format_message())
        except KeyboardInterrupt:
            _complain("error", "interrupted")
            return INTERRUPTED
        except OSError as error:
            _complain("error", f"{error.filename}: {error.strerror}" if error.filename else error)
        except Exception as error:  # noqa: BLE001 (a command line never ends in a traceback)
            known = isinstance(error, ValueError | ImportError | MemoryError)
            _complain("error", error if known and str(error) else f"{type(error).__name__}: {error}")
        return FAILURE


def _complain(kind: str, message: object) -> None:
    click.echo(f"fastem: {kind}: {' '.join(str(message).split())}", err=True)


@click.group()
@click.version_option(fastem.__version__)
def program() -> None:
    """Fit mixture models to tables of numbers."""


@program.command()
@click.argument("data", type=DATA)
@click.option(
    "-k", "--components", "n_components", type=click.IntRange(min=1), required=True, help="Number of components."
)
@click.option(
    "--covariance",
    "covariance_type",
    metavar="TYPE",
    default="full",
    show_default=True,
    help="Shape of the covariances: full, tied, diag, spherical, or one of mclust's names, like VVE.",
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
    "--checkpoint",
    type=click.Path(),
    help="Keep the state of the fit in this file; the same command goes on from there.",
)
@click.option("-o", "--output", metavar="MODEL", type=FILE, help="Write the fitted model to this file.")
@text_layout
def fit(
    data: str, weights: str | None, output: Path | None, separator: str | None, decimal: str, **parameters: Any
) -> None:
    """Fit a Gaussian mixture to a table and print it.

    DATA is a .csv, .npy, Parquet, Zarr or HDF5 file, a folder or a pattern of them, or the address of one. It is read
    in place, however large. A .csv may begin with a line of column names.
    """
    _check_output(output, data)
    from fastem.cli.data import data_of
    from fastem.cli.progress import watched
    from fastem.cli.report import print_fit

    opened = data_of(data, weights, separator, decimal)
    started = perf_counter()
    model = fastem.GaussianMixture(**parameters)
    with watched(model):
        model.fit(opened.rows)
    seconds = perf_counter() - started
    if output is not None:
        fastem.save(model, output)  # before anything can go wrong with the printing
    print_fit(model, opened, seconds)


@program.command()
@click.argument("model", type=FILE)
@click.argument("data", type=DATA)
@click.option("-o", "--output", metavar="LABELS", type=FILE, required=True, help="Write to this .npy, .csv or .txt.")
@click.option("--probabilities", is_flag=True, help="Write the probability of each component, not the label.")
@click.option("--weights", metavar="COLUMN", help="Column of row weights in DATA, to be left out.")
@text_layout
def predict(
    model: Path,
    data: str,
    output: Path,
    probabilities: bool,
    weights: str | None,
    separator: str | None,
    decimal: str,
) -> None:
    """Label rows with their most probable component.

    Labels count from 0. MODEL is a file that `fastem fit -o` has written. Text files get one line for each row of DATA.
    """
    _check_output(output, model, data)
    write = _writer(output)
    from fastem.cli.data import data_of

    mixture = fastem.load(model)
    method = "predict_proba" if probabilities else "predict"
    if not hasattr(mixture, method):
        raise ValueError(f"{model}: a {type(mixture).__name__} has no probabilities of components")
    answer = getattr(mixture, method)(data_of(data, weights, separator, decimal).rows)
    with atomic_write(output) as file:
        write(file, answer)


def _check_output(output: Path | None, *inputs: str | Path) -> None:
    """Fail before the work, not after it."""
    if output is None:
        return
    target = writable_target(output)
    if target in [Path(path).resolve() for path in inputs]:
        raise ValueError(f"{output}: the output would overwrite an input")


def _writer(output: Path) -> Callable[[BinaryIO, Any], None]:
    import numpy as np

    def text(file: BinaryIO, answer: Any) -> None:
        np.savetxt(file, answer, fmt="%d" if answer.dtype.kind in "iu" else "%.17g", delimiter=",")

    writers: dict[str, Callable[[BinaryIO, Any], None]] = {".npy": np.save, ".csv": text, ".txt": text}
    if output.suffix.lower() not in writers:
        raise ValueError(f"{output}: unknown suffix {output.suffix!r}, expected .npy, .csv or .txt")
    return writers[output.suffix.lower()]
