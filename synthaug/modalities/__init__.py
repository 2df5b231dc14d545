"""What a row is: one folder for each kind of data. Nothing else knows pixels."""
