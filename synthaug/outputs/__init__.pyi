from .machine import environment as environment, versions as versions
from .names import decode_name as decode_name, encode_name as encode_name
from .place import (
    RECORD as RECORD,
    Output as Output,
    is_finished as is_finished,
    open_output as open_output,
    open_together as open_together,
    read_request as read_request,
    refuse_unless as refuse_unless,
    require_apart as require_apart,
    same_request as same_request,
)
from .writes import (
    atomic_write_bytes as atomic_write_bytes,
    atomic_write_text as atomic_write_text,
    one_error as one_error,
    sha256_file as sha256_file,
)
