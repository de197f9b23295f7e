"""`fastem fit` and `fastem select`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click

from fastem.cli import options


@click.command()
@click.argument("data", type=options.DATA)
@click.option(
    "-k", "--components", "n_components", type=click.IntRange(min=1), required=True, help="Number of components."
)
@options.family
@click.option(
    "--covariance",
    "covariance_type",
    metavar="TYPE",
    default="full",
    show_default=True,
    help="Shape of the covariances: full, tied, diag, spherical, or one of mclust's names, like VVE.",
)
@options.weights
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
@options.seed
@click.option(
    "--init",
    "init_params",
    type=click.Choice(["kmeans", "k-means++", "random", "random_from_data"]),
    default="kmeans",
    show_default=True,
    help="How to start.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "em"]),
    default="error",
    show_default=True,
    help="What an empty cell or NaN is: an error, or a number that is missing at random.",
)
@click.option(
    "--checkpoint",
    type=click.Path(),
    help="Keep the state of the fit in this file; the same command goes on from there.",
)
@click.option("-o", "--output", metavar="MODEL", type=options.FILE, help="Write the fitted model to this file, or -.")
@options.as_json
@options.threads
@options.text_layout
@click.pass_context
def fit(
    context: click.Context,
    /,
    data: str,
    family: str,
    weights: str | None,
    output: Path | None,
    as_json: bool,
    separator: str | None,
    decimal: str,
    **parameters: Any,
) -> None:
    """Fit a mixture to a table and print it.

    DATA is a .csv, .npy, Parquet, Zarr or HDF5 file, a folder or a pattern of them, or the address of one. It is read
    in place, however large. A .csv may begin with a line of column names.
    """
    options.check_output(output, data)
    from fastem.cli.data import data_of
    from fastem.cli.progress import watched
    from fastem.cli.report import print_fit

    table = data_of(data, weights, separator, decimal)
    started = perf_counter()
    model = options.estimator_of(family, parameters, context)
    with watched(model):
        model.fit(table.rows)
    seconds = perf_counter() - started
    write_model(model, output)  # before anything can go wrong with the printing
    if as_json:
        options.say(described(model) | {"seconds": seconds})
    elif output != options.STANDARD_OUTPUT:
        print_fit(model, table, seconds)


@click.command()
@click.argument("data", type=options.DATA)
@click.option("-k", "--components", metavar="NUMBERS", default="1-9", show_default=True, help="Such as 1-9, or 2,4,8.")
@options.family
@click.option("--covariance", "structures", metavar="TYPES", help="Structures to try, such as full,tied,VVE.")
@click.option(
    "--criterion",
    type=click.Choice(["bic", "aic", "icl", "cv"]),
    default="bic",
    show_default=True,
    help="Lower is better.",
)
@options.weights
@click.option("--n-init", type=click.IntRange(min=1), default=1, show_default=True, help="Starts of each model.")
@click.option("--jobs", "n_jobs", type=int, help="Processes that fit side by side.")
@options.seed
@click.option("-o", "--output", metavar="MODEL", type=options.FILE, help="Write the best model to this file, or -.")
@options.as_json
@options.threads
@options.text_layout
def select(
    data: str,
    components: str,
    family: str,
    structures: str | None,
    weights: str | None,
    output: Path | None,
    as_json: bool,
    separator: str | None,
    decimal: str,
    **settings: Any,
) -> None:
    """Try numbers of components and structures of covariance, and print them, the best first."""
    options.check_output(output, data)
    import fastem
    from fastem.cli.data import data_of

    tried: Any = None if structures is None else structures.split(",")  # `select` refuses what is none
    found = fastem.select(
        data_of(data, weights, separator, decimal).rows,
        numbers_of(components),
        covariance_type=tried,
        estimator=getattr(fastem, options.FAMILIES[family])(),
        verbose=int(sys.stderr.isatty()),
        **settings,
    )
    write_model(found.best_estimator_, output)
    if as_json:
        options.say({"best": described(found.best_estimator_), "results": [vars(trial) for trial in found.results_]})
    elif output != options.STANDARD_OUTPUT:
        click.echo(repr(found.results_))


def numbers_of(text: str) -> list[int]:
    """The numbers in `1-3,8`: 1, 2, 3, 8."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"--components {text!r}: expected numbers, such as 1-9 or 2,4,8")
        numbers += range(int(first), int(last if dash else first) + 1)
    return numbers


def described(model: Any) -> dict[str, Any]:
    """A fitted mixture for JSON."""
    summary = model.summary()
    components = [dict(zip(("weight", *summary.headings), row, strict=True)) for row in summary.components]
    return {"class": summary.title, "components": components, **summary.facts}


def write_model(model: Any, output: Path | None) -> None:
    """Save the model to a file or to standard output."""
    import fastem

    if output is None:
        return
    if output != options.STANDARD_OUTPUT:
        fastem.save(model, output)
        return
    with TemporaryDirectory() as folder, options.opened(output) as stream:
        path = Path(folder, "model")
        fastem.save(model, path)
        stream.write(path.read_bytes())
