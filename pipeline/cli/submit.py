"""The command that hands another one to a Ray cluster."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.command import Command, parted
from pipeline.cli.console import say, tell

# A shell's code for a command that Ctrl-C ended.
INTERRUPTED = 130


class SubmitCommand(Command):
    """`refinery submit … -- WORDS`: the words are another command, whose options are none of ours."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ours, theirs = parted(args)
        ctx.meta["words"] = with_engine(theirs, ctx.find_root().command) if theirs else []
        return super().parse_args(ctx, ours)


submit_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@submit_app.command("submit", cls=SubmitCommand)
def submit(
    ctx: typer.Context,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of Ray's dashboard: http://head:8265 (else RAY_API_SERVER_ADDRESS)."),
    ] = None,
    runtime_env: Annotated[
        Path | None, typer.Option("--runtime-env", help="A YAML file: the job's runtime environment, as Ray has it.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's id and leave.")] = False,
    stop: Annotated[str | None, typer.Option("--stop", metavar="JOB", help="End a job that was submitted.")] = None,
) -> None:
    """Hand a command to a Ray cluster.

    What follows -- is run there, with --engine ray; its paths are those of the cluster. The job's output is printed as
    it comes, and its exit code is this command's. Ctrl-C leaves the job running; refinery status tells how it is.

    Example: refinery submit --address http://127.0.0.1:8265
    -- run --recipe english --input /data/crawl --out /data/out
    """
    from infra.engines import ray_jobs

    words: list[str] = ctx.meta["words"]
    if bool(stop) == bool(words):
        raise UsageError("say what is to be run behind --, as in refinery submit -- run --recipe ...; or --stop JOB")
    if stop:
        named = ray_jobs.find_job(stop) or ray_jobs.RayJob(stop)
        job = ray_jobs.RayJob(named.name, named.address or address)
        say(f"{job.name} was told to stop" if job.stop() else f"{job.name} had ended before")
        return
    job = ray_jobs.submit(words, address, runtime_env)
    if detach:
        tell(job.name)
        say(f"refinery status '{job.url}'")
        return
    try:
        say(f"submitted: {job.url}")
        code = job.follow(write)
    except KeyboardInterrupt:
        say(f"{job.name} goes on: refinery status '{job.url}', refinery submit --stop '{job.url}'")
        raise typer.Exit(INTERRUPTED) from None
    if code:
        raise typer.Exit(code)


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def with_engine(words: list[str], program: Any) -> list[str]:
    """The words, and `--engine ray` where their command has engines and they name none. UsageError where there is no
    such command."""
    command, rest = program, [*words]
    while hasattr(command, "command_called"):
        name = rest.pop(0) if rest else ""
        if name not in command.commands:
            raise UsageError(f"there is no command {name!r} to submit: refinery --help lists them")
        command = command.command_called(name)
    ours, engine_options = parted(rest)
    named = any(word.split("=")[0] == "--engine" for word in ours)
    if named or not any(parameter.name == "engine" for parameter in command.params):
        return words
    path = words[: len(words) - len(rest)]
    return [*path, *ours, "--engine", "ray", *(["--", *engine_options] if engine_options else [])]
