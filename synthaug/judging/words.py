"""Every sentence about a choice and an evaluation; pages, terminals and files only arrange them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from synthaug.judging.arms import AS_THEY_ARE
from synthaug.judging.names import called
from synthaug.judging.power import TOO_SMALL, nothing_to_gain, seen, too_small
from synthaug.judging.protocol import JUDGED, ON_BOTH
from synthaug.judging.trials import LEVEL
from synthaug.metrics.statistics import BOOTSTRAP_FROM, SIGN_FLIPS_FROM, Interval
from synthaug.wording import percent, points

if TYPE_CHECKING:
    from synthaug.judging.plan import Plan
    from synthaug.judging.results import ArmResult, Evaluation
    from synthaug.judging.trials import JudgedGain

GLOSSARY = {
    "paired": (
        "each arm is trained with the same seeds, and the difference is taken seed by seed, so that what a "
        "seed does to every arm cancels out."
    ),
    "95 % interval": (
        "if the comparison were repeated with new seeds many times, about 95 of 100 such intervals would contain "
        f"the true mean difference: by Student's t, from {BOOTSTRAP_FROM} pairs on by resampling them (a BCa "
        "bootstrap, which with 10 pairs contains it in about 90 of 100). If the interval contains zero, the "
        "difference may be chance. The interval of a recall (Wilson's) says how much other test rows would change it."
    ),
    "test of signs": (
        "if nothing were gained, each difference might as well have had the other sign. p is the share of all ways "
        "to choose the signs with a mean as far from zero; below 0.05 it is hardly chance."
    ),
    "calibration error": (
        "how far the classifier's certainty is from how often it is right (15 bins): 0 is best. The Brier score "
        "judges certainty and correctness together, from 0, the best, to 2."
    ),
    "arm": "one way to prepare the training rows; everything else is the same.",
    "balanced accuracy": "the mean of the recalls of all classes: rare ones count as much as frequent ones.",
    "recall": "of the test rows of a class, the share that the classifier recognised.",
    "sure to": (
        "the mean probability that classifiers give to the right label, after one correction of how sure they are of "
        "everything. Options are ranked by it; where a training returns no probabilities, by what it recognises."
    ),
    "points": "percentage points: from 80 % to 81 % is one point.",
}
"""What the words of a report mean."""

ANSWERS = {"helps": "They help", "no evidence": "No evidence", "harms": "No, they do worse"}
"""Whether synthetic rows help, for each verdict."""

FIDELITY = {
    "agreement": (
        "Label agreement",
        "How often a classifier trained on real rows sees the class that was asked for, relative to its "
        "accuracy on real rows. 1 is as good as real.",
    ),
    "diversity": (
        "Diversity",
        "How far apart the rows of a class are, relative to real rows. 1 is as varied, 0 all the same.",
    ),
    "novelty": (
        "Distance to training rows",
        "How far a synthetic row is from the nearest training row, relative to unseen real rows. Near 0 "
        "means copies.",
    ),
}
"""The measures of `Fidelity`: what each is called, and what it says."""

SPREAD = "spread as judges see it, before → after"
"""How far apart samples are in the features of judges, relative to real rows, before and after a filter of curation."""

REASONS = {
    "agreement": "look like another class",
    "outliers": "unlike any of their class",
    "copies": "copies of training rows",
}
"""What the filters of curation find."""


def metric_name(of: Evaluation | Plan) -> str:
    """What was compared, in words."""
    return of.metric.replace("_", " ")


def interval(of: Interval) -> str:
    """An interval of differences in points."""
    return f"{points(of.low)} to {points(of.high)}"


# ---------------------------------------------------------------------------------------- what it is all worth


def worth_of_plan(plan: Plan) -> str:
    """What following the plan gains over training on the rows as they are."""
    return _worth(plan, plan.choice.option, plan.gain, "in cross-validation")


def worth(e: Evaluation) -> str:
    """What following the advice gains over training on the rows as they are, on the test rows.

    Where that may be chance, and the run was too small to tell whether synthetic rows help, no advice but the figures.
    """
    gain = e.gain_over(AS_THEY_ARE)
    ours, theirs = (
        f"{100 * np.mean(e.arm(name).values(e.metric)):.1f} %" for name in (e.candidate, e.baseline)
    )
    if nothing_to_gain(e):
        return _easy(e)
    if too_small(e) and (gain is None or gain.low <= 0):
        return (
            f"{_sentence(TOO_SMALL)}: {ours} {metric_name(e)} on the test rows with {called(e.candidate)}, {theirs} "
            f"with {called(e.baseline)}."
        )
    followed = f"{100 * np.mean(e.arm(e.followed).values(e.metric)):.1f} % on the test rows"
    return _worth(e, e.followed, gain, followed)


def _easy(e: Evaluation) -> str:
    n = sum(e.rows["test"].values())
    return f"All {n:,} test rows are recognised with your rows as they are: there is nothing to gain here."


def _worth(of: Evaluation | Plan, followed: str, gain: Interval | None, where: str) -> str:
    if followed == AS_THEY_ARE:
        return f"Train on your rows as they are: nothing that was tried is sure to do better ({where})."
    if gain is None:
        return f"Train with {called(followed)} ({where})."
    return (
        f"Train with {called(followed)}: {points(gain.mean)} points ({interval(gain)}) of {metric_name(of)} over "
        f"training on your rows as they are ({where}){_doubt(gain)}."
    )


def _doubt(gain: Interval) -> str:
    return "" if gain.low > 0 else ", which may be chance"


def parts_of_worth(e: Evaluation) -> list[tuple[str, str, str]]:
    """What the gain is made of: where it comes from, in points, and whether it is used. All that was tried is told."""
    plain = e.gain_over(AS_THEY_ARE, e.baseline)
    used, prepared = ("used" if e.followed == e.candidate else "not used"), "used"
    if too_small(e):  # nothing is advised then
        used = prepared = TOO_SMALL
    found = []
    if plain is not None:
        told = "nothing" if e.baseline == AS_THEY_ARE else _in_points(plain)
        found.append((f"how your rows are prepared: {called(e.baseline)}", told, prepared))
    found.append((f"{_what_is_mixed_in(e)}: {called(e.candidate)}", _in_points(e.headline.difference), used))
    if e.plan is not None:
        found += [(f"in cross-validation, {what}", told, "") for what, told in _of_unlabelled(e.plan)]
    today = e.setup.today
    if today is not None and (gain := e.gain_over(today)) is not None:
        found.append((f"all of it over {called(today)}, as you train today", _in_points(gain), ""))
    return found


def _what_is_mixed_in(e: Evaluation) -> str:
    family = "" if e.plan is None else e.plan.family
    if family == JUDGED:
        return "unlabelled rows, with the labels of judges"
    return "unlabelled rows and a generator of both" if family.endswith(ON_BOTH) else "synthetic rows"


def _of_unlabelled(plan: Plan) -> list[tuple[str, str]]:
    """What the best options of each kind gain over the best without: judged rows alone, and generators of both."""
    synthetic = [of for of in plan.choice.standings if of.synthetic and of.gain is not None]
    judged = [of for of in synthetic if JUDGED in of.name]
    both = [of for of in synthetic if ON_BOTH in of.name]
    found = []
    for what, options in (
        ("unlabelled rows as judged", judged),
        ("unlabelled rows and a generator of both", both),
    ):
        if options:
            best = max(options, key=lambda of: (of.trainings, of.score))
            assert best.gain is not None, "options with none were left out"
            found.append((f"{what}: {called(best.name)}", _in_points(best.gain)))
    return found


def _in_points(of: Interval) -> str:
    return f"{points(of.mean)} ({interval(of)})"


# ---------------------------------------------------------------------------------------------------- a plan


def advice_of_plan(plan: Plan) -> str:
    """What to do, and what is worth more where rows are trained on from scratch."""
    return " ".join(filter(None, [_advice_of_choice(plan), plan.instead]))


def _advice_of_choice(plan: Plan) -> str:
    judged = plan.choice.judged
    gained = None if judged is None else _judged_gain(plan, judged)
    if plan.accepted:
        assert judged is not None, "what is accepted was judged"
        return (
            f"Use synthetic rows: {_share(plan)} as {_kind(plan)}, with {called(plan.base)}. "
            f"{'It' if judged.foretold else 'Choosing in this way'} {gained}; that classifiers are surer of the right "
            f"label is {percent(LEVEL)} sure, too."
        )
    if plan.choice.easy:
        return "Use no synthetic rows: every held-out row is recognised without any. There is nothing to gain here."
    if plan.choice.candidate is None:
        return (
            f"Use no synthetic rows: train with {called(plan.baseline)}; no share of any family did better."
        )
    chance = "" if judged is not None and judged.gain.mean <= 0 else ", which may be chance"
    way = "it" if judged is not None and judged.foretold else "choosing in this way"
    found = f"but {way} {gained}" if gained else _own_gain(plan)
    return (
        f"Use no synthetic rows: train with {called(plan.baseline)}. The best with them was {called(plan.candidate)}, "
        f"{found}{chance}."
    )


def chosen(plan: Plan) -> str:
    """How the choice ended, in plain words."""
    cost = f"All of it cost as much as {plan.cost:.0f} trainings of one classifier."
    judged = plan.choice.judged
    if plan.choice.easy:
        return (
            f"Every held-out row was recognised with {called(plan.baseline)}: nothing else was tried. {cost}"
        )
    if judged is None:
        none = plan.choice.candidate is None
        why = "No share of any family did better" if none else "The best of them did hardly better"
        return f"{why} than {called(plan.baseline)}, which is what to use. {cost}"
    gain = judged.gain
    how = (
        "It was to be judged before any row was looked at, as what gained most elsewhere, and"
        if judged.foretold
        else "Each part was set aside in turn, the others chose, and what they chose was judged on it. Choosing so"
    )
    told = f"{how} gained {points(gain.mean)} points ({interval(gain)})"
    if plan.accepted:
        end = (
            f"and classifiers were surer of the right label by {points(judged.sure.mean)}, with {percent(LEVEL)} "
            f"confidence by more than {points(judged.bound)}: likely no chance."
            f"{' So nothing else with synthetic rows was tried.' if judged.foretold else ''}"
        )
    else:
        end = "which may be chance: no synthetic rows." if gain.mean > 0 else "which is no gain."
    return f"{told}, {end} {cost}"


def choice_on_terminal(plan: Plan) -> str:
    """The advice, a line per option, and what it cost."""
    head = f"  {'':48} right    sure  (of rows held out; {percent(1)} sure of the right label is best)"
    standings = [
        f"  {of.name:48} {100 * of.score:5.1f} % {100 * of.sure:5.1f} %" for of in plan.choice.standings
    ]
    cost = f"It took as long as {plan.cost:.0f} trainings of one classifier."
    return "\n".join([plan.worth, plan.advice, "", head, *standings, "", cost, _follow(plan)])


def _follow(plan: Plan) -> str:
    """What to write to follow a plan that was loaded; of a learner of scikit-learn there is no loader to mix."""
    loaded = "Follow it: plan = synthaug.Plan.load(folder); "
    if plan.learner is None:
        return f"{loaded}loader = plan.apply(loader), for {plan.steps:,} optimizer steps."
    way, told = plan.preparation, []
    if plan.accepted:
        told.append("X, y = synthaug.mixing.sklearn.SyntheticRows(plan).fit_resample(X, y)")
    if way.balanced:
        told.append("rows of rare classes drawn more often, until classes are as frequent")
    if way.weighting is not None:
        told.append('class_weight="balanced" of the learner')
    if way.adjusted:
        told.append("plan.decide(model.predict_proba(X)) in place of predict")
    return f"{loaded}{'; '.join(told)}." if told else "Follow it: fit your learner on your rows as they are."


def _share(plan: Plan) -> str:
    falling = f", falling to 0 over {plan.classifier_steps} steps," if plan.annealed else ""
    return f"{percent(plan.candidate_share)} of each batch{falling}"


def _kind(plan: Plan) -> str:
    if plan.family == JUDGED:
        return "unlabelled rows with the labels of judges"
    return f"{'curated ' if plan.curated else ''}samples of {plan.family}"


def _judged_gain(plan: Plan, judged: JudgedGain) -> str:
    nothing = "" if judged.gain.mean > 0 else "nothing: "
    where = "rows that had not chosen it" if judged.foretold else "folds that had not chosen"
    return f"gained {nothing}{_told_gain(plan, judged.gain)} on {where}"


def _own_gain(plan: Plan) -> str:
    """What the candidate gained on the rows that chose it."""
    (own,) = (of.gain for of in plan.choice.standings if of.name == plan.candidate)
    assert own is not None, "only the baseline has no gain"
    return f"with {_told_gain(plan, own)} on the very rows that chose it"


def _told_gain(plan: Plan, gain: Interval) -> str:
    return f"{points(gain.mean)} points [{points(gain.low)}, {points(gain.high)}] of {metric_name(plan)}"


# ------------------------------------------------------------------------------------------------ an evaluation


def advice(e: Evaluation) -> str:
    """What to do, in one plain sentence."""
    gain = abs(e.headline.difference.mean) * 100
    if nothing_to_gain(e):
        return _easy(e)
    if e.plan is not None:
        return _advice_after_choice(e, e.plan, gain)
    share = percent(e.setup.ratio)
    if e.verdict == "helps":
        how = ", together with augmentation" if e.arm(e.candidate).augmentation else ""
        raised = f"they raise {metric_name(e)} by {gain:.1f} points"
        return f"Use synthetic rows here{how}: as {share} of each batch {raised}."
    if e.verdict == "harms":
        return (
            f"Do not use synthetic rows here: without them, {called(e.baseline)}, the score is {gain:.1f} points "
            f"higher than with {share} of each batch."
        )
    if too_small(e):
        return f"{_sentence(TOO_SMALL)} whether synthetic rows help here, as {share} of each batch. {seen(e)}"
    return f"Nothing shows that synthetic rows help here, as {share} of each batch: train without them."


def _advice_after_choice(e: Evaluation, plan: Plan, gain: float) -> str:
    """The advice where cross-validation chose and the test rows had the last word."""
    if e.verdict == "helps":
        return (
            f"Use synthetic rows here: {_share(plan)} as {_kind(plan)}, with {called(plan.base)}. They raise "
            f"{metric_name(e)} on the test rows by {gain:.1f} points."
        )
    preferred = f"{percent(plan.candidate_share)} of {_kind(plan)}"
    if too_small(e):
        chosen = f"preferred {preferred}" if plan.accepted else "found no share of them that is sure to help"
        return (
            f"{_sentence(TOO_SMALL)} whether synthetic rows help here: cross-validation {chosen}, and on the test rows "
            f"the difference may be chance. {seen(e)} The best without them is {called(e.baseline)}."
        )
    if not plan.accepted:
        why = "found no share of them that is sure to help"
    else:
        found = "they score lower there" if e.verdict == "harms" else "they do not confirm it"
        why = f"preferred {preferred}, but on the test rows {found}"
    return f"Train with {called(e.baseline)}, without synthetic rows: cross-validation {why}."


def answer(e: Evaluation) -> str:
    """Whether synthetic rows help, in few words."""
    return _sentence(TOO_SMALL) if too_small(e) else ANSWERS[e.verdict]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def summary(e: Evaluation) -> str:
    """What was found, for a person who has never heard of a paired test."""
    difference, n = e.headline.difference, sum(e.rows["test"].values())
    better = "higher" if difference.mean > 0 else "lower"
    found = f"{abs(difference.mean) * 100:.1f} points {better}" if difference.mean else "the same"
    judge = "validation rows" if e.plan is None else "cross-validation"
    told = (
        f"Without synthetic rows, {judge} preferred {called(e.baseline)}; with them, {called(e.candidate)}. The latter "
        f"scored {found} on {n:,} test rows that neither the generator nor the classifiers had seen. The 95 % interval "
        f"of that difference, {interval(difference)} points, {_what_it_says(e)}."
    )
    return told if too_small(e) else " ".join(filter(None, [told, seen(e)]))


def _what_it_says(e: Evaluation) -> str:
    difference, p = e.headline.difference, e.headline.p_value
    if difference.low <= 0 <= difference.high:
        return "contains zero, so chance alone could explain the difference"
    side = "lies wholly above zero" if difference.low > 0 else "lies wholly below zero"
    if e.headline.verdict == "no evidence":
        return f"{side}, but the test of signs does not confirm it (p = {p:.3f})"
    if e.verdict != e.headline.verdict:
        return f"{side}, but cross-validation had not found a gain that is sure"
    return side if p is None else f"{side}, and the test of signs confirms it (p = {p:.3f})"


def caveat(e: Evaluation) -> str:
    """What the figures rest on, and what they leave out."""
    n = e.headline.difference.n
    if e.replicates == 1:
        covered = (
            "All used the synthetic rows of one generator, so the intervals leave out how much another generator, "
            "trained in the same way, would differ."
        )
    else:
        covered = (
            f"They used the synthetic rows of {e.replicates} generators, trained apart in the same way, and the scores "
            "with one generator count as one: the intervals cover how much another would differ."
        )
    if n < SIGN_FLIPS_FROM:
        rests = (
            f"With {n} pairs the verdict rests on Student's t alone; a test of signs needs {SIGN_FLIPS_FROM}."
        )
    else:
        means = "a bootstrap" if n >= BOOTSTRAP_FROM else "Student's t"
        rests = f"With {n} pairs the verdict rests on {means} and on a test of signs, which must agree."
    if e.setup.steps:
        length = f"was trained for the same {e.setup.steps:,} steps, unless its arm says otherwise,"
    else:
        length = f"({e.setup.training}) was fitted once, to the rows of as many batches,"
    return (
        f"Every classifier {length} {len(e.seeds)} times per arm with different random seeds. {covered} The test rows "
        f"are the same throughout: what others would change is not in the intervals. {rests} Both arms named "
        f"above were picked {picked(e)}, not on the test rows."
    )


def picked(e: Evaluation) -> str:
    """What the arms that are compared were picked by."""
    return "on validation rows" if e.plan is None else "by cross-validation inside the training rows"


def role(e: Evaluation, arm: ArmResult) -> str:
    """What an arm is in the comparison: the baseline, or what can be said of it."""
    if arm.name == e.baseline:
        return "baseline"
    if not arm.synthetic:
        return ""
    if too_small(e, arm.name):
        return TOO_SMALL
    own = next(c.verdict for c in e.comparisons if c.arm == arm.name)
    return e.verdict if arm.name == e.candidate else own


def passing(judged: int, dropped: Mapping[str, int]) -> str:
    """How many samples of a class pass the judges, and why the others do not."""
    lost = [f"{n} {REASONS[name]}" for name, n in dropped.items() if n]
    return ", ".join([f"{judged - sum(dropped.values())} of {judged} pass", *lost])


def evaluation_on_terminal(e: Evaluation) -> str:
    """What it is worth, the advice, and a line per arm."""
    differences = {c.arm: c.difference for c in e.comparisons}
    made_of = [f"  {what}: {told}{f', {used}' if used else ''}" for what, told, used in parts_of_worth(e)]
    lines = [worth(e), *made_of, "", advice(e), ""]
    for arm in e.arms:
        lines.append(f"  {arm.name:18} {100 * np.mean(arm.values(e.metric)):5.1f} %")
        if arm.name in differences:
            of = differences[arm.name]
            lines[-1] += f"  {100 * of.mean:+5.1f} points [{100 * of.low:+.1f}, {100 * of.high:+.1f}]"
        else:
            lines[-1] += f"  the baseline, picked {picked(e)}"
    return "\n".join(lines)
