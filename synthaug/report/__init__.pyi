from .charts import COLOURS as COLOURS, Scale as Scale, Series as Series, line_chart as line_chart
from .facts import facts_of as facts_of, holds_rows as holds_rows
from .inside import (
    beside_nearest as beside_nearest,
    draw as draw,
    draw_beside as draw_beside,
    interpolation as interpolation,
    traversal as traversal,
)
from .inspection import (
    INSPECTION as INSPECTION,
    inspection as inspection,
    write_inspection as write_inspection,
)
from .markdown import markdown as markdown
from .page import html as html, report_on as report_on, write_report as write_report
from .pictures import (
    ClassPictures as ClassPictures,
    ClassRows as ClassRows,
    JudgedClass as JudgedClass,
    draw_overview as draw_overview,
    draw_rows as draw_rows,
    pick_judged as pick_judged,
    pick_pictures as pick_pictures,
    pick_rows as pick_rows,
)
from .plots import plot as plot
from .tables import FURTHER as FURTHER, mistaken_rows as mistaken_rows, recall_rows as recall_rows
