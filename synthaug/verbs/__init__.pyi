from .again import record_at as record_at, remake as remake
from .answers import choose as choose, evaluate as evaluate
from .mixture import mix as mix
from .outputs import inspect as inspect, push as push
from .place import load as load
from .samples import expand as expand, fit as fit, sample as sample
