from .cached import CachedEmbedder as CachedEmbedder
from .classes import (
    Classes as Classes,
    Label as Label,
    classes_of as classes_of,
    names_of as names_of,
    plain_label as plain_label,
)
from .copies import copies_of as copies_of
from .counts import (
    Counts as Counts,
    Totals as Totals,
    parse_counts as parse_counts,
    parse_to as parse_to,
    resolve_counts as resolve_counts,
    rows_to_add as rows_to_add,
)
from .guards import (
    refuse_held_out as refuse_held_out,
    require_disjoint as require_disjoint,
    require_no_copies as require_no_copies,
    require_original as require_original,
    require_unseen as require_unseen,
    without_copies as without_copies,
)
from .items import (
    ItemFields as ItemFields,
    Key as Key,
    fields_of as fields_of,
    label_like as label_like,
    with_field as with_field,
)
from .labeled import LabeledData as LabeledData
from .opening import open_data as open_data
from .readers import (
    Columns as Columns,
    Reading as Reading,
    ScanOptions as ScanOptions,
    ScanRows as ScanRows,
    Source as Source,
    is_scan as is_scan,
    read_source as read_source,
    scans as scans,
)
from .splits import (
    THREE as THREE,
    cross_folds as cross_folds,
    part as part,
    rows_to_choose_by as rows_to_choose_by,
    split_names as split_names,
    stratified as stratified,
    tested_split as tested_split,
    three_parts as three_parts,
    training_and_held_out as training_and_held_out,
    training_rows as training_rows,
    training_split as training_split,
    validation_rows as validation_rows,
    validation_split as validation_split,
    with_three_splits as with_three_splits,
)
from .unlabelled import apart_from as apart_from, joined as joined, open_unlabelled as open_unlabelled
