"""From the ledger to a sealed bundle: splits, documents, checksums, differences between releases."""
