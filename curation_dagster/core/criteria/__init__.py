"""Criteria as data: loaded from a file, applied to measurements, folded into verdicts, settled by people."""
