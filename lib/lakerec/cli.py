"""The command line: `lakerec VERB --conf FILE [--set key.path=value ...] [--json]`.

Exit codes: 0 done; 2 the input or config is wrong (one line); 1 a stage failed. Heavy imports wait inside the verbs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lakerec import __version__
from lakerec.config import Config
from lakerec.errors import LakerecError, nearest
from lakerec.loading import load_config

STAGES = {
    "ingest": "Raw files to bronze tables; refused rows go to the quarantine with reasons.",
    "clean": "Typed, deduplicated silver tables, with sessions.",
    "featurize": "Interactions, splits, sequences, item texts and dense indexes.",
    "adapt": "Tune the encoder on the catalogue's texts; used only where it finds cold items better.",
    "embed": "Item texts to vectors, encoding only what is new.",
    "profile": "Where asked for: people (vectors, portraits, segments), labels and spans from few rows, descriptions.",
    "train": "Fit the recommenders on train, choose on valid, refit for the test.",
    "evaluate": "Rank the whole catalogue for the test users; metrics with intervals.",
    "promote": "Register the best model, or the one asked for; it serves if it beats the champion.",
    "recommend": "Lists for every user from the champion, each with a reason.",
    "report": "One self-contained HTML page.",
}

Conf = Annotated[str, typer.Option("--conf", "-c", help="Config file (YAML).")]
Set = Annotated[list[str] | None, typer.Option("--set", "-s", help="Override: key.path=value. May be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Force = Annotated[bool, typer.Option("--force", help="Run even what is up to date, each stage on all its rows.")]
Full = Annotated[
    bool, typer.Option("--full", help="Build it anew, whatever was built before; ingest reads all raw files again.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

UsageError: Any = typer.BadParameter.__base__
"""Unknown options, missing ones, unknown verbs: typer does not export the class."""

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recommendations from your own lakehouse: raw logs in, Delta tables, language-model vectors, trained models out.",
)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("run", help="Every stage in order; what is up to date is skipped.")
def run(conf: Conf, set_: Set = None, as_json: AsJson = False, force: Force = False, full: Full = False) -> None:
    _run_stages(list(STAGES), load_config(conf, set_ or ()), as_json, force, full)


def _stage_command(name: str) -> Callable[..., None]:
    def command(conf: Conf, set_: Set = None, as_json: AsJson = False, force: Force = False, full: Full = False) -> None:
        _run_stages([name], load_config(conf, set_ or ()), as_json, force, full)

    return command


@app.command("ingest", help=STAGES["ingest"])
def ingest(
    conf: Conf, set_: Set = None, as_json: AsJson = False, force: Force = False, full: Full = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped: read new files as they come.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="With --follow: seconds between two looks.")] = 30,
    through: Annotated[
        str | None, typer.Option("--through", help="With --follow: run the stages up to this one.", show_default="ingest")
    ] = None,
) -> None:  # fmt: skip
    if not follow:
        if through is not None:
            raise typer.BadParameter("--through needs --follow: `lakerec run` runs every stage once")
        _run_stages(["ingest"], load_config(conf, set_ or ()), as_json, force, full)
        return
    if force or full:
        raise typer.BadParameter("--follow reads what is new: run without it once for --force or --full")
    last, names = "ingest" if through is None else through, list(STAGES)
    if last not in STAGES:
        raise typer.BadParameter(f"--through: no stage `{last}`{nearest(last, STAGES)}")
    _follow(names[: names.index(last) + 1], load_config(conf, set_ or ()), as_json, every)


for _name in STAGES:
    if _name != "ingest":
        app.command(_name, help=STAGES[_name])(_stage_command(_name))


@app.command("plan", help="What would run, and why; writes nothing.")
def plan(conf: Conf, set_: Set = None, as_json: AsJson = False) -> None:
    config = load_config(conf, set_ or ())
    _check_sources(config)
    from lakerec.stages import planning

    _set_up_output(as_json)
    _show(planning.plan(config), planning.print_plan, as_json)


@app.command("maintain", help="Compact and cluster the tables; remove files that nobody reads any more.")
def maintain(conf: Conf, set_: Set = None, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    from lakerec.stages import upkeep

    config = load_config(conf, set_ or ())
    _set_up_output(as_json)
    _show(upkeep.maintain(config, dry_run), upkeep.print_upkeep, as_json)


@app.command("rollback", help="What served before serves again, lists included; or the version that --to names.")
def rollback(
    conf: Conf, set_: Set = None, as_json: AsJson = False,
    to: Annotated[
        str | None, typer.Option("--to", help="The registered version that is to serve.", show_default="the one before")
    ] = None,
) -> None:  # fmt: skip
    from lakerec.stages import rollback as rollbacks

    config = load_config(conf, set_ or ())
    watched = _set_up_output(as_json)
    _show(rollbacks.roll_back(config, to, watched), rollbacks.print_rollback, as_json)


@app.command("tune", help="Search for better settings of the models, judged on validation.")
def tune(conf: Conf, set_: Set = None, as_json: AsJson = False) -> None:
    from lakerec.stages import tuning

    config = load_config(conf, set_ or ())
    watched = _set_up_output(as_json)
    _show(tuning.tune(config, conf, set_ or (), watched), tuning.print_tuning, as_json)


@app.command("drift", help="How far the data moved from what the champion was fitted on, and whether to fit again.")
def drift(conf: Conf, set_: Set = None, as_json: AsJson = False) -> None:
    from lakerec.stages import drifting

    config = load_config(conf, set_ or ())
    watched = _set_up_output(as_json)
    _show(drifting.drift(config, watched), drifting.print_drift, as_json)


@app.command("backtest", help="Fit and judge models at several moments of the past: do they keep their order?")
def backtest(conf: Conf, set_: Set = None, as_json: AsJson = False) -> None:
    from lakerec.stages import backtest as past

    config = load_config(conf, set_ or ())
    watched = _set_up_output(as_json)
    _show(past.backtest(config, watched), past.print_backtest, as_json)


@app.command("doctor", help="Check Java, Spark, Delta, torch, GPU, model files, paths and config; say what to do.")
def doctor(conf: Annotated[str | None, typer.Option("--conf", "-c", help="Config file to check as well.")] = None,
           set_: Set = None, as_json: AsJson = False) -> None:  # fmt: skip
    from lakerec.stages import doctor as checks

    found = checks.examine(conf, set_ or ())
    _show(found, checks.print_findings, as_json)
    if not all(finding["ok"] for finding in found["checks"]):
        raise typer.Exit(2)


def _check_sources(config: Config) -> None:
    """What is wrong with a path is said before anything slow is loaded or started."""
    from lakerec.stages import pipeline

    pipeline.check_sources(config)


def _run_stages(names: Sequence[str], config: Config, as_json: bool, force: bool, full: bool) -> None:
    if "ingest" in names:
        _check_sources(config)
    from lakerec.stages import pipeline

    if "embed" in names:
        pipeline.check_named(config)
    from lakerec.stages import summary

    watched = _set_up_output(as_json)
    with pipeline.opened(config, watched) as context:
        context.full = full
        outcomes = pipeline.run(context, names, force or full)
        result = summary.summarize(context, outcomes)
    _show(result, summary.print_summary, as_json)


def _follow(names: Sequence[str], config: Config, as_json: bool, every: float) -> None:
    from lakerec.stages import following, pipeline, summary

    watched = _set_up_output(as_json)
    with pipeline.opened(config, watched) as context:
        following.follow(
            context, names, every, lambda outcomes: _show(summary.summarize(context, outcomes), summary.print_line, as_json)
        )


def _set_up_output(as_json: bool) -> bool:
    """Logging and progress; gives whether progress bars are shown."""
    from lakerec.stages import log
    from lakerec.stages.progress import terminal

    watched = terminal() and not as_json
    log.set_up(watched or as_json)
    return watched


def _show(result: dict[str, Any], printer: Callable[[dict[str, Any]], None], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result, default=str, allow_nan=False))
    else:
        printer(result)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script and of Databricks wheel tasks; exits with the contract's codes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=words, prog_name="lakerec", standalone_mode=False)
    except UsageError as error:
        said = error.format_message().rstrip(".")
        _fail(said and f"{said}; see `lakerec --help`", 2, words)
    except LakerecError as error:
        _fail(str(error), error.exit_code, words)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer makes it of a KeyboardInterrupt
        _fail("interrupted; the next run goes on where this one stopped", INTERRUPTED, words)
    if code:
        sys.exit(code)


def job(verb: str) -> None:
    """`main` for jobs/<verb>.py, whose folder leaves the path: jobs/profile.py is not the standard library's `profile`."""
    folder = Path(sys.argv[0]).resolve().parent
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != folder]
    main([verb, *sys.argv[1:]])


def _fail(message: str, code: int, words: Sequence[str]) -> None:
    line = " ".join(message.split())
    if not line:  # no verb was given: the help is already on the screen
        sys.exit(code)
    if "--json" in words:
        typer.echo(json.dumps({"error": line, "exit_code": code}))
    typer.echo(f"error: {line}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
