"""`fastem warm-up` and `fastem completion`: what is done once on a machine."""

import warnings

import click
from click.shell_completion import get_completion_class

from fastem.cli import options

ROWS = 100_000  # enough for the parallel kernels


@click.command("warm-up")
@click.option(
    "--family",
    "families",
    type=click.Choice([*options.FAMILIES, "k-means"]),
    multiple=True,
    help="What to compile for, Gaussians and k-means by default; may be given several times.",
)
@options.threads
def warm_up(families: tuple[str, ...]) -> None:
    """Compile kernels and keep the machine code, for images and for a first fit without waiting."""
    import numpy as np

    import fastem

    rows = np.random.default_rng(0).integers(2, size=(ROWS, 2))
    few = rows[:500]
    for family in families or ("gaussian", "k-means"):
        if family == "k-means":
            fits = [fastem.KMeans(4, max_iter=2, random_state=0)]
        else:
            estimator_type = getattr(fastem, options.FAMILIES[family])
            known = "covariance_type" in estimator_type().get_params()
            settings = [{"covariance_type": name} for name in ("full", "tied", "diag", "spherical")] if known else [{}]
            fits = [estimator_type(n_components=4, max_iter=2, random_state=0, **setting) for setting in settings]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for fit in fits:
                for data in (few, rows):
                    fit.fit(data + (0.0 if family in ("gaussian", "bayesian", "student-t", "k-means") else 0))
                    fit.predict(data)
        click.echo(f"{family}: compiled")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands: eval "$(fastem completion bash)"."""
    from fastem.cli.commands import program

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(program, {}, "fastem", "_FASTEM_COMPLETE").source())
