from .arrow import (
    formatted_like as formatted_like,
    mark_real as mark_real,
    provenance_features as provenance_features,
    room_for_provenance as room_for_provenance,
)
from .base import Columns as Columns, Format as Format, NamedBlocks as NamedBlocks, RowBlock as RowBlock
from .cards import Card as Card, columns_card as columns_card, with_licence as with_licence
from .expansion import BALANCE_COST as BALANCE_COST, Expansion as Expansion
from .forecast import Forecast as Forecast, foretell as foretell
from .formats import (
    CALL as CALL,
    FORMATS as FORMATS,
    Stored as Stored,
    choose_format as choose_format,
    read_record as read_record,
    recorded_request as recorded_request,
    write_rows as write_rows,
)
from .hub import find_generator as find_generator, push as push, staged as staged
from .remote import remote_record as remote_record, require_remote as require_remote
from .shards import plan_shards as plan_shards
from .write import (
    Content as Content,
    Place as Place,
    require_kept as require_kept,
    write_expansion as write_expansion,
    write_samples as write_samples,
)
from .writing import USUAL_WRITING as USUAL_WRITING, Writing as Writing
