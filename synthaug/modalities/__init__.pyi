from .arrays import as_array as as_array
