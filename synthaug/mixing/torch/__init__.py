"""Into PyTorch loaders, streams and training steps."""
