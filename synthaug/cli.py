"""The command line: parses, fills in requests, calls the library, prints. It decides nothing.

Options are made from the fields of requests. Nothing heavy is imported before a command runs, so that
``synthaug --help`` answers at once.
"""

from __future__ import annotations

import errno
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, TextIO, TypeVar

import click

from synthaug import __version__
from synthaug.errors import InvalidRequest, OutputError, SynthaugError, SynthaugWarning
from synthaug.options import IN_PYTHON, asked_of, asks, options_of, sentence, together
from synthaug.outputs import is_finished, require_apart
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    InspectRequest,
    PushRequest,
    Request,
    SampleRequest,
)
from synthaug.wording import one_line, reason_of

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Request)

_WIDTH = 100

EXIT_FAILED, EXIT_USAGE, EXIT_NO = 1, 2, 3


class _Commands(click.Group):
    """The one place where errors become one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _in_one_line
                return super().invoke(ctx)
        except SynthaugError as error:
            click.echo(f"Error: {one_line(str(error))}", err=True)
            ctx.exit(EXIT_USAGE if isinstance(error, InvalidRequest) else EXIT_FAILED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads what is printed has had enough
                raise
            click.echo(f"Error: {reason_of(error)}. Check the path, and the right to use it.", err=True)
            ctx.exit(EXIT_FAILED)
        except KeyboardInterrupt:
            click.echo("Stopped. With --out, the same command goes on from what is there.", err=True)
            ctx.exit(130)


def _in_one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings are for the user; where others come from matters too."""
    where = "" if issubclass(category, SynthaugWarning) else f" ({category.__name__} at {filename}:{lineno})"
    click.echo(f"Warning: {one_line(str(message))}{where}", err=True)


# --------------------------------------------------------------------------------- options that several have

_data = together(click.argument("data"), asks(DataRequest, "source"))
_told = together(
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr."
    ),
    click.option("-q", "--quiet", is_flag=True, help="No progress, no summary."),
)
_common = together(
    click.option(
        "--seed",
        type=click.IntRange(-(2**63), 2**63 - 1),
        default=FitRequest.seed,
        show_default=True,
        help="The only source of randomness.",
    ),
    click.option("--device", default=FitRequest.device, show_default=True, help="auto, cpu, cuda, ..."),
    _told,
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    click.option("--overwrite", is_flag=True, help="Replace an output that came from another request."),
)
_generator = click.option(
    "--generator",
    type=click.Path(path_type=Path),
    help=sentence(options_of(ExpandRequest)["generator"].help),
)
_unlabelled = click.option(
    "--unlabelled",
    metavar="DATA",
    help="Rows without labels, to be judged and learned from: any data, labels ignored, or a folder of pictures.",
)
_jobs = click.option("--jobs", type=int, help="Processes that train classifiers; one a core without it.")


def _out(help: str, required: bool = True) -> Callable[[F], F]:
    return click.option("--out", type=click.Path(path_type=Path), required=required, help=help)


def _example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


# -------------------------------------------------------------------------------------------------- commands


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SYNTHAUG",
        "max_content_width": _WIDTH,
    },
    epilog=_example("synthaug demo"),
)
@click.version_option(__version__, prog_name="synthaug")
def main() -> None:
    """Train class-conditional generators on labelled images or tables, mix in what they make, see if it helps.

    DATA is a folder of class folders, a .csv, .parquet or .npz file, a saved Hugging Face data set, a hub name, or
    bundled:fashion-mnist.
    """


@main.command(epilog=_example("synthaug fit photos/ --family cgan --minutes 10 --out gen/"))
@_data
@_out("Folder for the generator.")
@asks(FitRequest, "dataset", "options", "validation", *IN_PYTHON)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Setting of the family; repeatable."
)
@click.option("--validation", metavar="DATA", help="Rows to choose the best checkpoint by.")
@_unlabelled
@click.option("--tracker", metavar="NAME", help="tensorboard, wandb, ..., beside the history.jsonl in --out.")
@_common
def fit(
    data: str,
    out: Path,
    settings: tuple[str, ...],
    validation: str | None,
    unlabelled: str | None,
    tracker: str | None,
    **given: Any,
) -> None:
    """Train a generator on DATA, and say what it achieved.

    The checkpoint is chosen by the validation rows: those of --validation, or of DATA's own split. Killed or
    stopped with Ctrl-C, the same command goes on from the last checkpoint.
    """
    from synthaug import verbs

    by = (
        None if validation is None else _opened(validation, given | {"train_split": None, "test_split": None})
    )
    rows = _opened(data, given)
    more = _without_labels(unlabelled, rows)
    asked = asked_of(
        FitRequest, given, dataset=rows, options=_settings(settings), validation=by, unlabelled=more
    )
    if _is_dry(given, lambda: {"fit": data, "out": str(out)} | asked.describe(), asked, out):
        return
    generator = verbs.fit(**asked.arguments(), out=out, tracker=tracker, **_how(given))
    found = _plain(generator.about) | {"out": str(out)}
    _report(given, found, f"{generator}\n{generator.achieved.text}\nsaved in {out}")


@main.command(epilog=_example("synthaug sample gen/ --counts cat=100,dog=20 --out more.parquet"))
@click.argument("gen", type=click.Path(path_type=Path))
@click.option("--per-class", type=int, help="Rows of every class.")
@click.option("--counts", help="Rows by class, e.g. cat=100,dog=20.")
@_out("Folder, .parquet, .csv or .npz to write.")
@asks(SampleRequest, "generator", "counts", "out")
@_common
def sample(gen: Path, per_class: int | None, counts: str | None, out: Path, **given: Any) -> None:
    """Write exactly the rows asked for, made by GEN."""
    if (per_class is None) == (counts is None):
        raise click.UsageError("Give either --per-class or --counts.")
    from synthaug import verbs
    from synthaug.data import parse_counts

    rows = per_class if counts is None else parse_counts(counts)
    require_apart(out, {"generator": gen})
    generator = verbs.load(gen, device=given["device"])
    asked = asked_of(SampleRequest, given, generator=generator, counts=rows, out=out)
    found = asked.describe()
    if _is_dry(given, lambda: {"sample": str(gen)} | found):
        return
    verbs.sample(**asked.arguments(), **_how(given))
    _report(given, found, f"{sum(found['counts'].values())} rows in {out}")


@main.command(epilog=_example("synthaug expand photos/ --to 2x --out photos2x/"))
@_data
@_generator
@click.option(
    "--plan", type=click.Path(path_type=Path), help="What choose wrote: its generator and its share."
)
@click.option("--to", help=sentence(options_of(ExpandRequest)["to"].help))
@_out("Folder, .parquet, .csv or .npz to write.")
@asks(ExpandRequest, "dataset", "generator", "to", "out")
@_common
def expand(
    data: str, generator: Path | None, plan: Path | None, to: str | None, out: Path, **given: Any
) -> None:
    """Write DATA with synthetic rows added, each with its provenance."""
    if (to is None and plan is None) or (generator is not None and plan is not None):
        raise click.UsageError("Give --to, or --plan; and either --generator or --plan.")
    from synthaug import verbs
    from synthaug.data import parse_to
    from synthaug.judging import Plan

    require_apart(out, {"generator": generator, "plan": plan})
    chosen = None if plan is None else Plan.load(plan, given["device"])
    if chosen is not None and not chosen.accepted:
        _report(given, {"rows_added": {}, "advice": chosen.advice}, f"Nothing is added. {chosen.advice}")
        return
    maker = chosen if generator is None else verbs.load(generator, device=given["device"])
    totals = None if to is None else parse_to(to)
    asked = asked_of(ExpandRequest, given, dataset=_opened(data, given), generator=maker, to=totals, out=out)
    adds = asked.describe()["rows_to_add"]
    if _is_dry(given, lambda: {"expand": data, "rows_to_add": adds, "out": str(out)}):
        return
    verbs.expand(**asked.arguments(), **_how(given))
    _report(
        given, {"out": str(out), "rows_added": adds}, f"{sum(adds.values())} synthetic rows added, see {out}"
    )


@main.command(epilog=_example("synthaug choose photos/ --family cvae --family cgan --out plan/"))
@_data
@_out("Folder for the plan and its generator.", required=False)
@asks(ChooseRequest, "dataset", "train", "seeds", "generators", "today", *IN_PYTHON)
@_unlabelled
@_jobs
@_common
def choose(data: str, out: Path | None, jobs: int | None, unlabelled: str | None, **given: Any) -> None:
    """Say how much of which synthetic rows to train with, by cross-validation; it may be none."""
    from synthaug import verbs
    from synthaug.judging.words import choice_on_terminal

    rows = _opened(data, given)
    asked = asked_of(ChooseRequest, given, dataset=rows, unlabelled=_without_labels(unlabelled, rows))
    if _is_dry(given, lambda: {"choose": data} | asked.describe(), asked, out):
        return
    plan = verbs.choose(**asked.arguments(), out=out, jobs=jobs, **_how(given))
    _report(given, plan.to_dict(), choice_on_terminal(plan) + (f"\nSee {out}" if out else ""))


@main.command(epilog=_example("synthaug evaluate photos/ --family cgan --out report/"))
@_data
@_out("Folder for the report.", required=False)
@_generator
@asks(EvaluateRequest, "dataset", "generator", "train", *IN_PYTHON)
@_unlabelled
@_jobs
@click.option("--fail-on-no", is_flag=True, help="Exit with 3 unless synthetic rows help.")
@_common
def evaluate(
    data: str,
    out: Path | None,
    generator: Path | None,
    jobs: int | None,
    unlabelled: str | None,
    fail_on_no: bool,
    **given: Any,
) -> None:
    """Choose how much of which synthetic rows to use, then test it once on rows that had no part in it."""
    from synthaug import verbs
    from synthaug.judging.words import evaluation_on_terminal

    if out is not None:
        require_apart(out, {"generator": generator})
    maker = None if generator is None else verbs.load(generator, device=given["device"])
    rows = _opened(data, given)
    more = _without_labels(unlabelled, rows)
    asked = asked_of(EvaluateRequest, given, dataset=rows, generator=maker, unlabelled=more)
    if _is_dry(given, lambda: {"evaluate": data} | asked.describe(), asked, out):
        return
    evaluation = verbs.evaluate(**asked.arguments(), out=out, jobs=jobs, **_how(given))
    told = evaluation_on_terminal(evaluation) + (f"\nSee {out / 'report.html'}" if out else "")
    _report(given, evaluation.to_dict(), told)
    if fail_on_no and evaluation.verdict != "helps":
        click.get_current_context().exit(EXIT_NO)


@main.command(epilog=_example("synthaug push gen/ me/gen --license cc-by-4.0"))
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.argument("name")
@asks(PushRequest, "source", "name")
@_common
def push(source: Path, name: str, **given: Any) -> None:
    """Upload a saved generator or an output at PATH to the Hugging Face Hub as NAME, that is OWNER/NAME.

    The token is that of `hf auth login` or HF_TOKEN.
    """
    from synthaug import verbs

    asked = asked_of(PushRequest, given, source=source, name=name)
    if _is_dry(given, asked.describe):
        return
    address = verbs.push(**asked.arguments())
    _report(given, {"pushed": str(source), "to": address}, f"{source} is now at {address}")


@main.command(epilog=_example("synthaug inspect gen/ --out pictures/ --real photos/"))
@click.argument("path")
@_out("Folder for pictures of what is inside a generator.", required=False)
@click.option("--real", metavar="DATA", help=sentence(options_of(InspectRequest)["real"].help))
@asks(DataRequest, "source")
@_common
def inspect(path: str, out: Path | None, real: str | None, **given: Any) -> None:
    """Say what is in a data set, a saved generator or an output; draw what is inside a generator."""
    from synthaug import verbs

    said = any(given[name] != of.default for name, of in options_of(DataRequest).items() if name != "source")
    source = _opened(path, given) if said and real is None else path
    rows = None if real is None else _opened(real, given)
    if out is not None:
        asked = asked_of(InspectRequest, given, source=source, real=rows, out=out)
        if _is_dry(given, lambda: {"inspect": path, "out": str(out), "kind": asked.describe()["kind"]}):
            return
    how = {name: given[name] for name in ("seed", "device", "overwrite")}
    found = verbs.inspect(source, real=rows, out=out, **how)
    shown = {str(out): found["pictures"]} if out is not None else found
    _report(given, found, _indented(shown))


@main.command(epilog=_example("synthaug families cgan"))
@click.argument("name", required=False)
@_told
def families(name: str | None, **given: Any) -> None:
    """List the families of generators; of the family NAME all settings, which fit takes as --set."""
    from synthaug.families import family_names, settings_of, told_of

    if name is None:
        told = {each: _told_or_why_not(told_of, each) for each in family_names()}
        _report(given, told, "\n".join(f"{each:10} {about}" for each, about in told.items()))
        return
    found = settings_of(name)
    width = max(map(len, found), default=0) + 2
    lines = [
        line
        for setting, of in found.items()
        for line in wrap(
            f"{of['about']} [{_defaults(of['default'], of['usual'])}]",
            _WIDTH,
            initial_indent=f"  {setting:{width}}",
            subsequent_indent=" " * (width + 2),
        )
    ]
    head = wrap(told_of(name), _WIDTH)
    _report(given, {"name": name, "about": told_of(name), "settings": found}, "\n".join([*head, "", *lines]))


def _told_or_why_not(told_of: Callable[[str], str], name: str) -> str:
    """What a family is; of a package that is broken, what is wrong with it, so that others are told all the same."""
    try:
        return told_of(name)
    except InvalidRequest as error:
        return str(error)


def _defaults(default: Any, usual: Mapping[str, Any]) -> str:
    return ", ".join([f"default: {default}", *(f"of {kind}s: {value}" for kind, value in usual.items())])


@main.command(epilog=_example("synthaug run expand-and-judge --data photos/ --out result/"))
@click.argument("recipe", required=False)
@click.option("--data", help="Data set, instead of the recipe's own.")
@_out("Folder for the results, instead of the recipe's own.", required=False)
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="e.g. fit.minutes=10; repeatable."
)
@_common
def run(
    recipe: str | None, data: str | None, out: Path | None, settings: tuple[str, ...], **given: Any
) -> None:
    """Run RECIPE, a YAML file or the name of one that comes with synthaug. Without it, list those."""
    from synthaug import recipes

    if recipe is None:
        shipped = recipes.shipped()
        _report(given, shipped, "\n".join(f"{name:20} {about}" for name, about in shipped.items()))
        return
    _run_recipe(recipes.load_recipe(recipe, data=data, out=out, settings=_settings(settings)), given)


@main.command(epilog=_example("synthaug demo --out demo"))
@_out("Folder for the results.", required=False)
@_common
def demo(out: Path | None, **given: Any) -> None:
    """Everything once on bundled Fashion-MNIST: fit, sample, mix, expand, evaluate."""
    from synthaug import recipes

    _run_recipe(recipes.load_recipe("demo", out=out), given)


def _run_recipe(recipe: Any, given: Mapping[str, Any]) -> None:
    from synthaug import recipes

    where = {"seed": given["seed"], "device": given["device"]}
    if _is_dry(given, lambda: recipes.describe_recipe(recipe, **where)):
        return
    result = recipes.run_recipe(
        recipe,
        **where,
        say=(lambda text: None) if given["quiet"] else (lambda text: click.echo(text, err=given["as_json"])),
        **_how(given),
    )
    if given["as_json"]:
        _say(json.dumps(result, ensure_ascii=False))


# ------------------------------------------------------------------------------------ what commands have alike


def _opened(source: str, given: Mapping[str, Any]) -> Any:
    return asked_of(DataRequest, given, source=source).open()


def _how(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"overwrite": given["overwrite"], "progress": not given["quiet"]}


def _without_labels(source: str | None, like: Any) -> Any:
    """The rows of `--unlabelled`."""
    from synthaug.data import open_unlabelled

    return None if source is None else open_unlabelled(source, like)


def _settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE texts with the values read as YAML, so that 3 is a number and true a truth."""
    import yaml

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f'Cannot read --set "{text}". Write NAME=VALUE.')
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise click.UsageError(f'Cannot read the value of --set "{text}" as YAML.') from None
    return found


def _is_dry(
    given: Mapping[str, Any],
    describe: Callable[[], Mapping[str, Any]],
    asked: Request | None = None,
    out: Path | None = None,
) -> bool:
    """Says what would be done, where that is all that is asked for; with a request that has an output, if it may be."""
    if given["dry_run"]:
        plan = dict(describe()) | ({} if asked is None else asked.forecast())
        if asked is not None and out is not None:
            asked.require_apart(out)
            is_finished(out, asked.to_dict(), overwrite=given["overwrite"])
        _report(given, plan, _indented(plan))
    return bool(given["dry_run"])


def _report(given: Mapping[str, Any], document: Any, text: str) -> None:
    if given["as_json"]:
        _say(json.dumps(document, ensure_ascii=False))
    elif not given["quiet"]:
        _say(text)


def _say(text: str) -> None:
    try:
        click.echo("\n".join(map(one_line, text.split("\n"))))  # names may hold what a terminal would obey
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise OutputError(f"What was found cannot be printed ({reason_of(error)}).") from error


def _plain(value: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(value)


def _indented(document: Mapping[str, Any]) -> str:
    import yaml

    # through JSON, which knows no tuples
    plain = json.loads(json.dumps(document))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)).rstrip()


if __name__ == "__main__":
    main()
