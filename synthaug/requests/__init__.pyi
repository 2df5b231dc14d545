from .again import call_of as call_of, requested as requested
from .answers import ChooseRequest as ChooseRequest, EvaluateRequest as EvaluateRequest
from .base import Request as Request, maker_of as maker_of
from .outputs import InspectRequest as InspectRequest, PushRequest as PushRequest
from .rows import DataRequest as DataRequest
from .samples import ExpandRequest as ExpandRequest, FitRequest as FitRequest, SampleRequest as SampleRequest
