"""What the commands do. Each failure that a user can cause ends in one line on stderr and exit code 2."""

import warnings
from collections.abc import Sequence

import click

import fastem
from fastem.cli.fitting import fit, select
from fastem.cli.using import impute, info, plot, predict, sample, score
from fastem.cli.warming import completion, warm_up

FAILURE = 2
INTERRUPTED = 130


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


for command in (fit, select, predict, impute, score, sample, plot, info, warm_up, completion):
    program.add_command(command)
