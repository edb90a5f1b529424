"""Values that columns of several tables may hold."""

from __future__ import annotations

OUTCOMES = ("pass", "fail", "review", "not_applicable")
VERDICTS = ("kept", "excluded", "quarantined")
PER_ARCHIVE = (
    "staged",
    "records",
    "measurements",
    "quality",
    "deidentified",
    "harmonized",
    "duplicates_within",
    "review_queue",
)
OVER_ALL = ("duplicates", "decisions", "corpus", "splits")
RELEASING = ("release",)  # made when people ask for it, never by itself
STAGES = PER_ARCHIVE + OVER_ALL + RELEASING
MODALITIES = ("dermoscopic", "clinical", "other")
CONFIRMATIONS = ("histopathology", "consensus", "expert", "follow_up", "confocal", "unverified")
SKIN_TONE_SCALES = ("fitzpatrick_groups", "monk", "isic_skin_tone_class")
DERIVATIONS = ("crop", "resized", "rotated", "colour_adjusted")
RELATIONS = ("exact", "broader", "narrower", "nonspecific", "not_a_diagnosis", "unmapped")
JOIN_STATES = (
    "matched",  # one record, one file
    "record_without_file",
    "file_without_record",
    "duplicate_record",  # a further row that says the same of the same image
    "conflicting_record",  # rows that contradict each other about the same image
    "duplicate_file",  # a further file with the same source id and the same bytes
    "ambiguous_file",  # several files with the same source id and different bytes
)
DECODE_STATES = (
    "ok",
    "damaged",  # decodes, but the strict decoder complains: pixels can't be trusted
    "unreadable",
    "unsupported",  # an image format, but none that the pipeline reads, or not an image
    "too_large",  # more pixels or bytes than the declared limits: never decoded
    "changed",  # other bytes than were staged
    "worker_died",  # the decoder killed its process
    "timed_out",
)
