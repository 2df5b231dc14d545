from .arms import (
    ARMS as ARMS,
    LADDER as LADDER,
    LONGER as LONGER,
    Arm as Arm,
    arms_for as arms_for,
    find_arm as find_arm,
    longer as longer,
    on_top as on_top,
    starting_arms as starting_arms,
    with_synthetic as with_synthetic,
)
from .choose import (
    Chosen as Chosen,
    choose as choose,
    generator_name as generator_name,
    pool_seed as pool_seed,
    sweep as sweep,
)
from .compare import Proposal as Proposal, compare as compare, steps_of as steps_of
from .curation import FILTERS as FILTERS, Curation as Curation, Effect as Effect, Judges as Judges
from .evaluate import (
    Evaluated as Evaluated,
    Inquiry as Inquiry,
    TestedRows as TestedRows,
    evaluate as evaluate,
    replicates_of as replicates_of,
)
from .folds import Fold as Fold, Folds as Folds
from .forecast import (
    Forecast as Forecast,
    foretell as foretell,
    foretell_evaluation as foretell_evaluation,
)
from .identity import identity_of as identity_of, identity_of_own as identity_of_own
from .learners import LEARNERS as LEARNERS, Learner as Learner, learner_of as learner_of
from .ledger import Gain as Gain
from .loaders import (
    Augment as Augment,
    Encode as Encode,
    Ingredients as Ingredients,
    Judge as Judge,
    balanced as balanced,
    mixed as mixed,
    shuffled as shuffled,
)
from .menu import (
    OTHER_SHARES as OTHER_SHARES,
    Menu as Menu,
    Source as Source,
    Treatment as Treatment,
    sources_of as sources_of,
    unlabelled_sources as unlabelled_sources,
)
from .names import PLAIN as PLAIN, called as called, plain_name as plain_name
from .passing import keep_passing as keep_passing
from .plan import FORMAT as FORMAT, Plan as Plan
from .pools import (
    PoolCuration as PoolCuration,
    curated_pool as curated_pool,
    draw_pool as draw_pool,
    fit_judges as fit_judges,
    judged_blocks as judged_blocks,
    no_pool as no_pool,
    pool_size as pool_size,
)
from .predict import (
    Predictions as Predictions,
    Train as Train,
    adjusted as adjusted,
    takes_loss as takes_loss,
    train_and_predict as train_and_predict,
)
from .preparation import Preparation as Preparation
from .protocol import (
    ATTEMPTS as ATTEMPTS,
    BATCH_SIZE as BATCH_SIZE,
    FAMILIES as FAMILIES,
    JUDGE_STEPS as JUDGE_STEPS,
    NETWORK as NETWORK,
    PLAN_FILE as PLAN_FILE,
    PLAN_GENERATOR as PLAN_GENERATOR,
    USUAL_PROTOCOL as USUAL_PROTOCOL,
    Protocol as Protocol,
    families_for as families_for,
    families_on_both as families_on_both,
    is_unequal as is_unequal,
    weights_of as weights_of,
)
from .quality import (
    compare_with_real as compare_with_real,
    judge_samples as judge_samples,
    judges_of as judges_of,
)
from .question import Question as Question
from .results import (
    ArmResult as ArmResult,
    Comparison as Comparison,
    Evaluation as Evaluation,
    Judged as Judged,
    Replicate as Replicate,
    Setup as Setup,
)
from .runner import (
    Outcome as Outcome,
    Runner as Runner,
    Task as Task,
    Work as Work,
    can_train as can_train,
    in_processes as in_processes,
    train_arm as train_arm,
)
from .search import (
    fewest_rungs as fewest_rungs,
    follow as follow,
    rungs_to_expect as rungs_to_expect,
    search_options as search_options,
    trainings_to_expect as trainings_to_expect,
)
from .trials import (
    LEVEL as LEVEL,
    Choice as Choice,
    JudgedGain as JudgedGain,
    Option as Option,
    Scored as Scored,
    Standing as Standing,
    Trial as Trial,
)
from .unlabelled import (
    JudgedRows as JudgedRows,
    judge_rows as judge_rows,
    judge_unlabelled as judge_unlabelled,
    with_judged as with_judged,
)
