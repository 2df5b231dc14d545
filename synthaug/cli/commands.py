"""The commands: each parses, fills in its request, calls the library and prints. They decide nothing.

Nothing heavy is imported before a command runs, so that ``synthaug --help`` answers at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from synthaug import __version__
from synthaug.cli import options as of
from synthaug.cli.group import EXIT_NO, OUTPUT, Commands
from synthaug.cli.options import asks, option, sentence
from synthaug.cli.printed import (
    WIDTH,
    facts_in_lines,
    in_lines,
    is_dry,
    report,
    say,
    settings_in_lines,
    told_place,
    whole_or_share,
)
from synthaug.cli.running import make_again, needs_apart, run_recipe
from synthaug.errors import InvalidRequest
from synthaug.options import IN_PYTHON, asked_of, options_of
from synthaug.outputs import require_apart
from synthaug.requests import (
    ChooseRequest,
    DataRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    InspectRequest,
    PushRequest,
    SampleRequest,
)
from synthaug.wording import is_url, shown


def _example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


_COMPLETION = """\b
Completion with the Tab key, for bash; for zsh write zsh and ~/.zshrc:
  echo 'eval "$(_SYNTHAUG_COMPLETE=bash_source synthaug)"' >> ~/.bashrc"""


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SYNTHAUG",
        "max_content_width": WIDTH,
    },
    epilog=f"{_example('synthaug demo')}\n\n{_COMPLETION}",
)
@click.version_option(__version__, prog_name="synthaug")
def main() -> None:
    """Train class-conditional generators on labelled images or tables, mix in what they make, see if it helps.

    DATA is a folder of class folders, a .csv, .parquet or .npz file, a saved Hugging Face data set, a hub name, or
    bundled:fashion-mnist.
    """


@main.command(epilog=_example("synthaug fit photos/ --family cgan --minutes 10 --out gen/"))
@of.data
@of.out("Folder for the generator.")
@asks(FitRequest, "dataset", "options", "validation", *IN_PYTHON)
@option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Setting of the family; repeatable.")
@option("--validation", metavar="DATA", help="Rows to choose the best checkpoint by.")
@of.unlabelled
@option(
    "--tracker",
    part=OUTPUT,
    metavar="NAME",
    help="tensorboard, wandb, ..., beside the history.jsonl in --out.",
)
@of.common
def fit(
    data: str,
    out: Path | None,
    settings: tuple[str, ...],
    validation: str | None,
    unlabelled: str | None,
    tracker: str | None,
    **given: Any,
) -> None:
    """Train a generator on DATA, and say what it achieved.

    The checkpoint is chosen by the validation rows: those of --validation, or of DATA's own split. Killed or
    stopped with Ctrl-C, the same command goes on from the last checkpoint. Processes of torchrun train together.
    """
    from synthaug import verbs
    from synthaug.training import require_tracker, together

    require_tracker(tracker, out is not None or given["dry_run"])
    by = (
        None if validation is None else _opened(validation, given | {"train_split": None, "test_split": None})
    )
    rows = _opened(data, given)
    more = _without_labels(unlabelled, rows)
    asked = asked_of(
        FitRequest, given, dataset=rows, options=_settings(settings), validation=by, unlabelled=more
    )
    if is_dry(given, lambda: {"fit": shown(data), "out": told_place(out)} | asked.describe(), asked, out):
        return
    with together() as ranks:
        there = ranks.first and out is not None and asked.is_finished(out, overwrite=given["overwrite"])
        how = _how(given) if ranks.first else _how(given | {"quiet": True})
        generator = verbs.fit(**asked.arguments(), out=out, tracker=tracker, **how)
        if not ranks.first:
            return
    found = asdict(generator.about) | {"out": str(out)}
    was = "nothing was trained: it is there already, in" if there else "saved in"
    report(given, found, f"{generator}\n{generator.achieved.text}\n{was} {out}")


@main.command(epilog=_example("synthaug sample gen/ --counts cat=100,dog=20 --out more.parquet"))
@click.argument("gen", type=of.here)
@option("--per-class", type=int, help="Rows of every class.")
@option("--counts", help="Rows by class, e.g. cat=100,dog=20.")
@of.place("Folder, .parquet, .csv or .npz to write, here or at a url.")
@asks(SampleRequest, "generator", "counts", "out")
@of.common
def sample(gen: Path, per_class: int | None, counts: str | None, out: of.Place | None, **given: Any) -> None:
    """Write exactly the rows asked for, made by GEN."""
    if (per_class is None) == (counts is None):
        raise click.UsageError("Give either --per-class or --counts.")
    from synthaug import verbs
    from synthaug.data import parse_counts

    rows = per_class if counts is None else parse_counts(counts)
    if out is not None:
        require_apart(out, {"generator": gen})
    generator = verbs.load(gen, device=given["device"])
    asked = asked_of(SampleRequest, given, generator=generator, counts=rows, out=out)
    found = asked.describe()
    if is_dry(given, lambda: {"sample": str(gen)} | found, asked):
        return
    told = asked.arguments() | {"generator": gen}  # by its path, so that the record can make the rows again
    verbs.sample(**told, device=given["device"], **_how(given))
    made = f"{sum(found['counts'].values())} rows in {told_place(out)}"
    report(given, found, whole_or_share(out, made))


@main.command(epilog=_example("synthaug expand photos/ --to 2x --out photos2x/"))
@of.data
@of.generator
@option("--plan", type=of.here, help="What choose wrote: its generator and its share.")
@option("--to", help=sentence(options_of(ExpandRequest)["to"].help))
@of.place("Folder, .parquet, .csv or .npz to write, here or at a url.")
@asks(ExpandRequest, "dataset", "generator", "to", "out")
@of.common
def expand(
    data: str, generator: Path | None, plan: Path | None, to: str | None, out: of.Place | None, **given: Any
) -> None:
    """Write DATA with synthetic rows added, each with its provenance."""
    if (to is None and plan is None) or (generator is not None and plan is not None):
        raise click.UsageError("Give --to, or --plan; and either --generator or --plan.")
    from synthaug import verbs
    from synthaug.data import parse_to
    from synthaug.judging import Plan

    if out is not None:
        require_apart(out, {"generator": generator, "plan": plan})
    chosen = None if plan is None else Plan.load(plan, given["device"])
    if chosen is not None and not chosen.accepted:
        report(given, {"rows_added": {}, "advice": chosen.advice}, f"Nothing is added. {chosen.advice}")
        return
    maker = chosen if generator is None else verbs.load(generator, device=given["device"])
    totals = None if to is None else parse_to(to)
    asked = asked_of(ExpandRequest, given, dataset=_opened(data, given), generator=maker, to=totals, out=out)
    adds = asked.describe()["rows_to_add"]
    if is_dry(given, lambda: {"expand": shown(data), "rows_to_add": adds, "out": told_place(out)}, asked):
        return
    told = asked.arguments() | {"generator": generator or plan}
    verbs.expand(**told, **_how(given))
    made = f"{sum(adds.values())} synthetic rows added, see {told_place(out)}"
    report(given, {"out": told_place(out), "rows_added": adds}, whole_or_share(out, made))


@main.command(epilog=_example("synthaug choose photos/ --family cvae --family cgan --out plan/"))
@of.data
@of.out("Folder for the plan and its generator.", required=False)
@asks(ChooseRequest, "dataset", "train", "seeds", "generators", "today", *IN_PYTHON)
@of.unlabelled
@of.jobs
@of.common
def choose(data: str, out: Path | None, jobs: int | None, unlabelled: str | None, **given: Any) -> None:
    """Find out how much of which synthetic rows to train with.

    By cross-validation inside the training rows; it may be none.
    """
    from synthaug import verbs
    from synthaug.judging.words import choice_on_terminal

    rows = _opened(data, given)
    asked = asked_of(ChooseRequest, given, dataset=rows, unlabelled=_without_labels(unlabelled, rows))
    if is_dry(given, lambda: {"choose": shown(data)} | asked.describe(), asked, out, jobs):
        return
    plan = verbs.choose(**asked.arguments(), out=out, jobs=jobs, **_how(given))
    report(given, plan.to_dict(), choice_on_terminal(plan) + (f"\nSee {out}" if out else ""))


@main.command(epilog=_example("synthaug evaluate photos/ --family cgan --out report/"))
@of.data
@of.out("Folder for the report.", required=False)
@of.generator
@asks(EvaluateRequest, "dataset", "generator", "train", *IN_PYTHON)
@of.unlabelled
@of.jobs
@option("--fail-on-no", is_flag=True, help="Exit with 3 unless synthetic rows help.")
@of.common
def evaluate(
    data: str,
    out: Path | None,
    generator: Path | None,
    jobs: int | None,
    unlabelled: str | None,
    fail_on_no: bool,
    **given: Any,
) -> None:
    """Find out whether synthetic rows help, and write a report.

    How much of which to use is chosen first, as choose does, and then tested once on rows that had no part in it.
    """
    from synthaug import verbs
    from synthaug.judging.words import evaluation_on_terminal

    if out is not None:
        require_apart(out, {"generator": generator})
    maker = None if generator is None else verbs.load(generator, device=given["device"])
    rows = _opened(data, given)
    more = _without_labels(unlabelled, rows)
    asked = asked_of(EvaluateRequest, given, dataset=rows, generator=maker, unlabelled=more)
    if is_dry(given, lambda: {"evaluate": shown(data)} | asked.describe(), asked, out, jobs):
        return
    evaluation = verbs.evaluate(**asked.arguments(), out=out, jobs=jobs, **_how(given))
    told = evaluation_on_terminal(evaluation) + (f"\nSee {out / 'report.html'}" if out else "")
    report(given, evaluation.to_dict(), told)
    if fail_on_no and evaluation.verdict != "helps":
        click.get_current_context().exit(EXIT_NO)


@main.command(epilog=_example("synthaug push gen/ me/gen --license cc-by-4.0"))
@click.argument("source", metavar="PATH", type=of.here)
@click.argument("name")
@asks(PushRequest, "source", "name")
@of.told
@of.dry
def push(source: Path, name: str, **given: Any) -> None:
    """Upload a generator or a data set to the Hugging Face Hub.

    PATH is a saved generator or an output of synthaug, NAME is OWNER/NAME.

    The token is that of `hf auth login` or HF_TOKEN.
    """
    from synthaug import verbs

    asked = asked_of(PushRequest, given, source=source, name=name)
    if is_dry(given, asked.describe):
        return
    address = verbs.push(**asked.arguments())
    report(given, {"pushed": str(source), "to": address}, f"{source} is now at {address}")


@main.command(epilog=_example("synthaug inspect gen/ --out pictures/ --real photos/"))
@click.argument("path")
@of.out(sentence(options_of(InspectRequest)["out"].help), required=False)
@option("--real", metavar="DATA", help=sentence(options_of(InspectRequest)["real"].help))
@asks(DataRequest, "source")
@of.common
def inspect(path: str, out: Path | None, real: str | None, **given: Any) -> None:
    """Say what is in a data set, a generator or an output.

    With --out, write a page on a data set or an output, or draw what is inside a generator.
    """
    from synthaug import verbs

    said = any(given[name] != of.default for name, of in options_of(DataRequest).items() if name != "source")
    source = _opened(path, given) if said and real is None else path
    rows = None if real is None else _opened(real, given)
    if out is not None:
        asked = asked_of(InspectRequest, given, source=source, real=rows, out=out)
        if is_dry(given, lambda: {"inspect": shown(path), "out": str(out), "kind": asked.describe()["kind"]}):
            return
    how = {name: given[name] for name in ("seed", "device", "overwrite")}
    found = verbs.inspect(source, real=rows, out=out, **how)
    text = in_lines({str(out): found["pictures"]}) if "pictures" in found else facts_in_lines(found)
    report(given, found, text)


@main.command(epilog=_example("synthaug families cgan"))
@click.argument("name", required=False)
@of.told
def families(name: str | None, **given: Any) -> None:
    """List the families of generators, or the settings of one.

    Those of the family NAME are all that fit takes as --set.
    """
    from synthaug.families import family_names, settings_of, told_of

    if name is None:
        told = {each: _told_or_why_not(told_of, each) for each in family_names()}
        report(given, told, "\n".join(f"{each:10} {about}" for each, about in told.items()))
        return
    found = settings_of(name)
    text = "\n".join([*wrap(told_of(name), WIDTH), "", settings_in_lines(found)])
    report(given, {"name": name, "about": told_of(name), "settings": found}, text)


def _told_or_why_not(told_of: Callable[[str], str], name: str) -> str:
    """What a family is; of a package that is broken, what is wrong with it, so that others are told all the same."""
    try:
        return told_of(name)
    except InvalidRequest as error:
        return str(error)


@main.command(epilog=_example("synthaug run expand-and-judge --data photos/ --out result/"))
@click.argument("recipe", required=False)
@option("--data", metavar="DATA", help="Data set, instead of the recipe's own.")
@of.place("Folder for the results, instead of the recipe's own.", required=False)
@option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="e.g. fit.minutes=10; repeatable.")
@option("--schema", is_flag=True, help="Print the JSON Schema of recipes, for editors, and stop.")
@of.common
def run(
    recipe: str | None,
    data: str | None,
    out: of.Place | None,
    settings: tuple[str, ...],
    schema: bool,
    **given: Any,
) -> None:
    """Run a recipe, or list those that come with synthaug.

    RECIPE is a YAML file, or the name of one that comes with synthaug. Without it they are listed, with what each
    needs. What is there already from an equal step is not made again. An output of sample or expand is made again in
    --out, from its record.
    """
    from synthaug import recipes
    from synthaug.verbs import record_at

    if schema:
        say(json.dumps(recipes.recipe_schema(), indent=2, ensure_ascii=False))
        return
    if recipe is None:
        shipped = {name: asdict(each) for name, each in recipes.shipped().items()}
        report(
            given,
            shipped,
            "\n\n".join(f"{name}\n{in_lines(needs_apart(each))}" for name, each in shipped.items()),
        )
        return
    if (is_url(recipe) or os.path.exists(recipe)) and (record := record_at(recipe)) is not None:
        make_again(recipe, record, out, given)
        return
    run_recipe(recipes.load_recipe(recipe, data=data, out=out, settings=_settings(settings)), given)


@main.command(epilog=_example("synthaug demo --out demo"))
@of.out("Folder for the results.", required=False)
@of.common
def demo(out: Path | None, **given: Any) -> None:
    """Do everything once on bundled Fashion-MNIST.

    That is fit, sample, mix, expand and evaluate.
    """
    from synthaug import recipes

    run_recipe(recipes.load_recipe("demo", out=out), given)


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
            found[name] = None if value == "None" else yaml.safe_load(value)
        except yaml.YAMLError:
            raise click.UsageError(f'Cannot read the value of --set "{text}" as YAML.') from None
    return found
