"""What can be measured: leaves that any stage may use."""
