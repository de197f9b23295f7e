"""What a fitted model is used for: `fastem predict`, `impute`, `score`, `sample`, `plot` and `info`."""

from pathlib import Path
from typing import Any

import click

from fastem.cli import options

output = click.option(
    "-o", "--output", metavar="FILE", type=options.FILE, required=True, help="Write to this .npy, .csv or .txt, or -."
)


@click.command()
@click.argument("model", type=options.FILE)
@click.argument("data", type=options.DATA)
@output
@click.option("--probabilities", is_flag=True, help="Write the probability of each component, not the label.")
@click.option("--weights", metavar="COLUMN", help="Column of row weights in DATA, to be left out.")
@options.threads
@options.text_layout
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
    _write_rows(model, data, output, "predict_proba" if probabilities else "predict", (weights, separator, decimal))


@click.command()
@click.argument("model", type=options.FILE)
@click.argument("data", type=options.DATA)
@output
@click.option("--seed", type=options.SEEDS, help="Fill in draws with this seed, not what is to be expected.")
@click.option("--weights", metavar="COLUMN", help="Column of row weights in DATA, to be left out.")
@options.threads
@options.text_layout
def impute(
    model: Path,
    data: str,
    output: Path,
    seed: int | None,
    weights: str | None,
    separator: str | None,
    decimal: str,
) -> None:
    """Fill in the numbers that are missing in DATA: empty cells, NA, nan, nulls.

    Measurements and counts get their conditional mean, levels the most probable one; with --seed a draw.
    """
    _write_rows(model, data, output, "impute", (weights, separator, decimal), random_state=seed)


@click.command()
@click.argument("model", type=options.FILE)
@click.argument("data", type=options.DATA)
@click.option("-o", "--output", metavar="FILE", type=options.FILE, help="Write the log-density of each row, too.")
@options.weights
@options.as_json
@options.threads
@options.text_layout
def score(
    model: Path,
    data: str,
    output: Path | None,
    weights: str | None,
    as_json: bool,
    separator: str | None,
    decimal: str,
) -> None:
    """Print how well a model explains rows: log-likelihood and criteria."""
    if output is not None:
        _write_rows(model, data, output, "score_samples", (weights, separator, decimal))
    import fastem
    from fastem.cli.data import data_of

    mixture, rows = fastem.load(model), data_of(data, weights, separator, decimal).rows
    answer = {"log-likelihood per row": float(mixture.score(rows))}
    for name in ("bic", "aic", "icl"):
        if hasattr(mixture, name):
            answer[name.upper()] = float(getattr(mixture, name)(rows))
    _tell(answer, as_json=as_json)


@click.command()
@click.argument("model", type=options.FILE)
@click.option("-n", "--rows", "n_rows", type=click.IntRange(min=1), default=1, show_default=True, help="How many rows.")
@output
@click.option("--seed", type=options.SEEDS, help="Seed; that of the model by default.")
def sample(model: Path, n_rows: int, output: Path, seed: int | None) -> None:
    """Draw rows from a model, component after component."""
    options.check_output(output, model)
    write = options.writer_of(output)
    import fastem

    mixture = fastem.load(model)
    if seed is not None:
        mixture.set_params(random_state=seed)
    rows, _ = mixture.sample(n_rows)
    with options.opened(output) as file:
        write(file, rows)


@click.command()
@click.argument("model", type=options.FILE)
@click.argument("data", type=options.DATA, required=False)
@click.option("-o", "--output", metavar="PICTURE", type=options.FILE, required=True, help="A .png, .svg or .pdf.")
@click.option("--features", metavar="NAMES", help="Which to show, such as height,weight or 0,3.")
@options.weights
@options.text_layout
def plot(
    model: Path,
    data: str | None,
    output: Path,
    features: str | None,
    weights: str | None,
    separator: str | None,
    decimal: str,
) -> None:
    """Draw the components of a model, over the rows of DATA."""
    options.check_output(output, model, *([] if data is None else [data]))
    import matplotlib as mpl

    mpl.use("Agg")
    import fastem
    from fastem.cli.data import data_of
    from fastem.plotting import MixtureDisplay

    mixture = fastem.load(model)
    named = hasattr(mixture, "feature_names_in_")
    chosen: Any = None if features is None else [part if named else _number(part) for part in features.split(",")]
    rows = None if data is None else data_of(data, weights, separator, decimal).rows
    figure = MixtureDisplay.from_estimator(mixture, rows, features=chosen).figure_
    with options.opened(output) as file:
        figure.savefig(file, format=output.suffix.lstrip(".") or "png")


@click.command()
@click.argument("model", type=options.FILE, required=False)
@options.as_json
def info(model: Path | None, as_json: bool) -> None:
    """Print what a model is, or without MODEL what fastem runs on."""
    import fastem
    from fastem.cli.fitting import described

    if model is not None:
        mixture = fastem.load(model)
        if as_json:
            options.say(described(mixture))
        else:
            click.echo(str(mixture.summary()))
        return
    from fastem.kernels.machine_code import machine

    _tell({"fastem": fastem.__version__, **machine()}, as_json=as_json)


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        options.say(answer)
        return
    width = max(map(len, answer))
    for name, value in answer.items():
        click.echo(
            f"  {name.ljust(width)}  {value:.10g}" if isinstance(value, float) else f"  {name.ljust(width)}  {value}"
        )


def _write_rows(
    model: Path, data: str, output: Path, method: str, layout: tuple[str | None, str | None, str], **settings: Any
) -> None:
    """What a method returns for each row."""
    options.check_output(output, model, data)
    write = options.writer_of(output)
    import fastem
    from fastem.cli.data import data_of

    mixture = fastem.load(model)
    if not hasattr(mixture, method):
        what = {
            "predict_proba": "probabilities of components",
            "score_samples": "densities",
            "impute": "imputation",
        }.get(method, "labels")
        raise ValueError(f"{model}: a {type(mixture).__name__} has no {what}")
    answer = getattr(mixture, method)(data_of(data, *layout).rows, **settings)
    with options.opened(output) as file:
        write(file, answer)
