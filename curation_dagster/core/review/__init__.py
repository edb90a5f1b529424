"""What people decide: the images they look at, their verdicts, and the approvals of change control."""
