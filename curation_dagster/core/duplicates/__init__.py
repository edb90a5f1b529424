"""Duplicates and near-duplicates: candidates, verification, groups, representatives."""
