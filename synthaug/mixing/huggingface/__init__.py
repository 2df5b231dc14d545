"""Into Hugging Face data sets, of known length and streaming."""
