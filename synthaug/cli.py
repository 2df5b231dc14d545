"""The command line: parses, calls the library, prints. It decides nothing.

Torch and the rest are imported inside the commands, so that ``synthaug --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from synthaug import __version__
from synthaug.data.counts import parse_counts, parse_to
from synthaug.errors import InvalidRequest, SynthaugError, SynthaugWarning

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED, EXIT_USAGE, EXIT_NO = 1, 2, 3


class _Commands(click.Group):
    """The one place where errors become one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _in_one_line
                return super().invoke(ctx)
        except SynthaugError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_USAGE if isinstance(error, InvalidRequest) else EXIT_FAILED)
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
    click.echo(f"Warning: {message}{where}", err=True)


class _Size(click.ParamType[Any]):
    """Pixels a side, or HxW."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            sides = [int(side) for side in str(value).split("x")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 2):
            self.fail(f"{value} is neither a number of pixels nor HxW.", param, ctx)
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_SEED = click.IntRange(-(2**63), 2**63 - 1)

_data = click.argument("data")
_columns = _options(
    click.option("--label", help="Column of the labels."),
    click.option("--image", help="Column of the images."),
    click.option("--group", help="Column of groups that must stay on one side of a split."),
    click.option("--split", help="Split to use: to train on (train), with evaluate to test on (test)."),
    click.option(
        "--image-size", type=_Size(), help="Resize every image to this many pixels a side, or to HxW."
    ),
)
_budget = _options(
    click.option("--steps", type=int, help="Training budget in steps."),
    click.option(
        "--minutes", type=float, help="Training budget in minutes of wall time; 3 if neither is given."
    ),
)
_common = _options(
    click.option(
        "--seed",
        type=click.IntRange(-(2**63), 2**63 - 1),
        default=0,
        show_default=True,
        help="The only source of randomness.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ..."),
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr."
    ),
    click.option("-q", "--quiet", is_flag=True, help="No progress, no summary."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    click.option("--overwrite", is_flag=True, help="Replace an output that came from another request."),
)
_family = click.option("--family", default="cvae", show_default=True, help="cvae, cgan or warp.")

_families = click.option(
    "--family",
    multiple=True,
    default=("cvae", "warp"),
    show_default=True,
    help="cvae, cgan or warp to try; repeatable.",
)
_folds = click.option("--folds", type=int, default=3, show_default=True, help="Parts held out in turn.")


def _out(help: str, required: bool = True) -> Callable[[F], F]:
    return click.option("--out", type=click.Path(path_type=Path), required=required, help=help)


def _example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SYNTHAUG",
        "max_content_width": 100,
    },
    epilog=_example("synthaug demo"),
)
@click.version_option(__version__, prog_name="synthaug")
def main() -> None:
    """Train class-conditional generators on your labelled images, mix in what they make, see if it helps.

    DATA is a folder of class folders, a .parquet or .npz file, a saved Hugging Face data set, a hub name, or
    bundled:fashion-mnist.
    """


@main.command(epilog=_example("synthaug fit photos/ --family cgan --minutes 10 --out gen/"))
@_data
@_family
@_out("Folder for the generator.")
@_budget
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Setting of the family; repeatable."
)
@click.option("--validation", metavar="DATA", help="Rows to choose the best checkpoint by.")
@click.option("--tracker", metavar="NAME", help="tensorboard or wandb, beside the history.jsonl in --out.")
@_columns
@_common
def fit(
    data: str,
    family: str,
    out: Path,
    settings: tuple[str, ...],
    validation: str | None,
    tracker: str | None,
    **given: Any,
) -> None:
    """Train a generator on DATA, and say what it achieved.

    The checkpoint is chosen by the validation rows: those of --validation, or of DATA's own split. Killed or
    stopped with Ctrl-C, the same command goes on from the last checkpoint.
    """
    from synthaug import verbs

    options = _settings(settings)
    if given["dry_run"]:
        device = given["device"]
        plan = verbs.plan_fit(
            data, family, options=options, device=device, **_budget_of(given), **_columns_of(given)
        )
        _report(given, {"fit": data, "out": str(out)} | plan, _indented(plan))
        return
    generator = verbs.fit(
        data,
        family,
        options=options,
        validation=validation,
        tracker=tracker,
        out=out,
        overwrite=given["overwrite"],
        seed=given["seed"],
        device=given["device"],
        progress=_progress(given),
        **_budget_of(given),
        **_columns_of(given),
    )
    said = f"{generator}\n{generator.achieved['text']}\nsaved in {out}"
    _report(given, verbs.describe(generator) | {"out": str(out)}, said)


@main.command(epilog=_example("synthaug sample gen/ --counts cat=100,dog=20 --out more.parquet"))
@click.argument("gen", type=click.Path(path_type=Path))
@click.option("--per-class", type=int, help="Rows of every class.")
@click.option("--counts", help="Rows by class, e.g. cat=100,dog=20.")
@_out("Folder, .parquet or .npz to write.")
@click.option("--format", "format_", help="folder, parquet, npz or hf, where the suffix does not say.")
@_common
def sample(
    gen: Path, per_class: int | None, counts: str | None, out: Path, format_: str | None, **given: Any
) -> None:
    """Write exactly the rows asked for, made by GEN."""
    if (per_class is None) == (counts is None):
        raise click.UsageError("Give either --per-class or --counts.")
    from synthaug import verbs

    generator = verbs.load(gen, device=given["device"])
    asked: int | dict[str, int] = parse_counts(counts) if counts is not None else int(per_class or 0)
    resolved = generator.resolve(asked)
    if _is_dry(given, {"sample": str(gen), "counts": resolved, "out": str(out)}):
        return
    verbs.write_samples(
        generator, asked, out, format=format_, seed=given["seed"], overwrite=given["overwrite"]
    )
    _report(given, {"out": str(out), "counts": resolved}, f"{sum(resolved.values())} rows in {out}")


@main.command(epilog=_example("synthaug expand photos/ --to 2x --out photos2x/"))
@_data
@click.option(
    "--generator", type=click.Path(path_type=Path), help="A saved generator; one is trained without it."
)
@click.option(
    "--plan", type=click.Path(path_type=Path), help="What choose wrote: its generator and its share."
)
@click.option("--to", help="Final totals: 2x, balance, or cat=500,dog=200; with --plan its share without it.")
@_out("Folder, .parquet or .npz to write.")
@click.option("--format", "format_", help="folder, parquet, npz or hf, where the suffix does not say.")
@_family
@_budget
@_columns
@_common
def expand(
    data: str,
    generator: Path | None,
    plan: Path | None,
    to: str | None,
    out: Path,
    format_: str | None,
    family: str,
    **given: Any,
) -> None:
    """Write DATA with synthetic rows added, each with its provenance."""
    from synthaug import verbs
    from synthaug.judging.plan import Plan

    if (to is None and plan is None) or (generator is not None and plan is not None):
        raise click.UsageError("Give --to, or --plan; and either --generator or --plan.")
    chosen = None if plan is None else Plan.load(plan, given["device"])
    if chosen is not None and not chosen.accepted:
        _report(given, {"rows_added": {}, "advice": chosen.advice}, f"Nothing is added. {chosen.advice}")
        return
    totals = chosen.totals if chosen is not None and to is None else parse_to(str(to))
    adds = verbs.plan_expansion(data, totals, out=out, format=format_, **_columns_of(given))
    if _is_dry(given, {"expand": data, "rows_to_add": adds, "out": str(out)}):
        return
    maker = chosen or (generator if generator is None else verbs.load(generator, device=given["device"]))
    verbs.expand(
        data,
        maker,
        to=totals,
        out=out,
        format=format_,
        family=family,
        seed=given["seed"],
        device=given["device"],
        overwrite=given["overwrite"],
        progress=_progress(given),
        **_budget_of(given),
        **_columns_of(given),
    )
    _report(
        given, {"out": str(out), "rows_added": adds}, f"{sum(adds.values())} synthetic rows added, see {out}"
    )


@main.command(epilog=_example("synthaug choose photos/ --family cvae --family cgan --out plan/"))
@_data
@_out("Folder for the plan and its generator.", required=False)
@_families
@_budget
@_folds
@click.option(
    "--classifier-steps", type=int, default=400, show_default=True, help="Optimizer steps of each training."
)
@click.option("--full", is_flag=True, help="Try every baseline there is, not the usual few.")
@_columns
@_common
def choose(data: str, out: Path | None, family: tuple[str, ...], **given: Any) -> None:
    """Say how much of which synthetic rows to train with, by cross-validation; it may be none."""
    from synthaug import verbs

    how = {k: given[k] for k in ("seed", "device", "full", "folds", "classifier_steps")}
    how |= {"families": family, **_budget_of(given), **_columns_of(given)}
    if given["dry_run"]:
        plan = verbs.plan_choice(data, **how)
        _report(given, {"choose": data} | plan, _indented(plan))
        return
    chosen = verbs.choose(data, out=out, overwrite=given["overwrite"], progress=_progress(given), **how)
    lines = [
        chosen.advice,
        "",
        *(f"  {of.name:48} {100 * of.score:5.1f} %" for of in chosen.choice.standings),
    ]
    cost = f"It took as long as {chosen.cost:.0f} trainings of one classifier."
    _report(given, chosen.to_dict(), "\n".join([*lines, "", cost, *([f"See {out}"] if out else [])]))


@main.command(epilog=_example("synthaug evaluate photos/ --family cgan --out report/"))
@_data
@_out("Folder for the report.", required=False)
@click.option(
    "--generator", type=click.Path(path_type=Path), help="A saved generator; one is trained without it."
)
@_families
@_budget
@click.option("--ratio", type=float, help="Share of synthetic rows in a batch; chosen without it.")
@_folds
@click.option("--seeds", type=int, default=5, show_default=True, help="Classifier seeds.")
@click.option(
    "--classifier-steps", type=int, default=400, show_default=True, help="Optimizer steps in every arm."
)
@click.option("--full", is_flag=True, help="Compare with every baseline there is, not with the usual few.")
@click.option(
    "--generators",
    type=int,
    default=1,
    show_default=True,
    help="Generators to train, each on the whole budget; the verdict then holds for any like them.",
)
@click.option("--fail-on-no", is_flag=True, help="Exit with 3 unless synthetic rows help.")
@_columns
@_common
def evaluate(
    data: str,
    out: Path | None,
    generator: Path | None,
    family: tuple[str, ...],
    fail_on_no: bool,
    **given: Any,
) -> None:
    """Choose how much of which synthetic rows to use, then test it once on rows that had no part in it."""
    from synthaug import verbs

    arguments = {k: given[k] for k in ("full", "generators", "ratio", "folds", "seeds", "classifier_steps")}
    maker = None if generator is None else verbs.load(generator, device=given["device"])
    if given["dry_run"]:
        how = {"seed": given["seed"], "device": given["device"], **arguments, **_budget_of(given)}
        plan = verbs.plan_evaluation(data, family=family, generator=maker, **how, **_columns_of(given))
        _report(given, {"evaluate": data} | plan, _indented(plan))
        return
    evaluation = verbs.evaluate(
        data,
        family=family,
        generator=maker,
        out=out,
        seed=given["seed"],
        device=given["device"],
        overwrite=given["overwrite"],
        progress=_progress(given),
        **arguments,
        **_budget_of(given),
        **_columns_of(given),
    )
    _report(
        given,
        evaluation.to_dict(),
        verbs.summary(evaluation) + (f"\nSee {out / 'report.html'}" if out else ""),
    )
    if fail_on_no and evaluation.verdict != "helps":
        click.get_current_context().exit(EXIT_NO)


@main.command(epilog=_example("synthaug push gen/ me/gen --license cc-by-4.0"))
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("name")
@click.option(
    "--license", help="As the hub spells it, e.g. cc-by-4.0; the card says it is not stated without it."
)
@click.option("--private", is_flag=True, help="Seen by its owner only.")
@click.option("--include-rows", is_flag=True, help="Let real rows leave with it.")
@_common
def push(path: Path, name: str, license: str | None, private: bool, include_rows: bool, **given: Any) -> None:
    """Upload a saved generator or an output at PATH to the Hugging Face Hub as NAME, that is OWNER/NAME.

    The token is that of `hf auth login` or HF_TOKEN.
    """
    from synthaug.files import hub

    if _is_dry(given, {"push": str(path), "to": name}):
        return
    address = hub.push(path, name, license=license, private=private or None, include_rows=include_rows)
    _report(given, {"pushed": str(path), "to": address}, f"{path} is now at {address}")


@main.command(epilog=_example("synthaug inspect gen/ --out pictures/ --data photos/"))
@click.argument("path")
@_out("Folder for pictures of what is inside a generator.", required=False)
@click.option("--data", help="Real rows to show a generator's samples beside, with --out.")
@_columns
@_common
def inspect(path: str, out: Path | None, data: str | None, **given: Any) -> None:
    """Say what is in a data set, a saved generator or an output; draw what is inside a generator."""
    from synthaug import verbs

    if data is not None and out is None:
        raise click.UsageError("--data is for the pictures: give --out too.")
    if out is not None:
        if _is_dry(given, {"inspect": path, "out": str(out)}):
            return
        how = {"seed": given["seed"], "device": given["device"], "overwrite": given["overwrite"]}
        about = verbs.draw(path, out, data=data, **how, **_columns_of(given))
        _report(given, {"out": str(out), "pictures": about}, _indented({str(out): about}))
        return
    found = verbs.inspect(path, **_columns_of(given))
    _report(given, found, _indented(found))


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

    if _is_dry(given, recipe.model_dump(mode="json")):
        return
    result = recipes.run_recipe(
        recipe,
        seed=given["seed"],
        device=given["device"],
        overwrite=given["overwrite"],
        progress=_progress(given),
        say=(lambda text: None) if given["quiet"] else (lambda text: click.echo(text, err=given["as_json"])),
    )
    if given["as_json"]:
        click.echo(json.dumps(result, ensure_ascii=False))


def _columns_of(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("label", "image", "group", "split", "image_size")}


def _budget_of(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("steps", "minutes") if given[name] is not None}


def _progress(given: Mapping[str, Any]) -> bool:
    return not given["quiet"] and sys.stderr.isatty()


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


def _is_dry(given: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
    if given["dry_run"]:
        _report(given, plan, _indented(plan))
    return bool(given["dry_run"])


def _report(given: Mapping[str, Any], document: Any, text: str) -> None:
    if given["as_json"]:
        click.echo(json.dumps(document, ensure_ascii=False))
    elif not given["quiet"]:
        click.echo(text)


def _indented(document: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)).rstrip()


if __name__ == "__main__":
    main()
