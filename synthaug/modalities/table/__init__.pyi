from .cells import rows_of_table as rows_of_table, table_of_rows as table_of_rows
from .codes import Block as Block
from .columns import Column as Column, Fit as Fit, Level as Level
from .form import TableForm as TableForm
from .inference import (
    columns_of_array as columns_of_array,
    infer_columns as infer_columns,
    with_levels_of as with_levels_of,
)
from .kinds import Kind as Kind
from .relations import Relation as Relation
