"""How many names the rules of identifiers find in records, by script and spelling, in columns that don't say what they hold."""

from __future__ import annotations

import json
from collections import defaultdict

from _results import record

from curation_dagster.core.deidentification.identifiers import RecordScanner

# invented combinations of common given and family names
NAMES = {
    "Latin, western Europe": [("Anna", "Schmidt"), ("Pierre", "Dubois"), ("Giulia", "Ferrari"), ("Carlos", "García López"), ("Siobhán", "O'Connor"), ("Jürgen", "Groß"), ("Inês", "Gonçalves"), ("Lars", "Sørensen")],
    "Latin, eastern Europe and Turkey": [("Agnieszka", "Wiśniewska"), ("Jiří", "Dvořák"), ("Ágnes", "Szabó"), ("Mehmet", "Yılmaz"), ("Ștefan", "Ionescu"), ("Đorđe", "Petrović")],
    "Latin, Africa, Asia, Pacific": [("Chinwe", "Okafor"), ("Thi Lan", "Nguyen"), ("Aminata", "Diallo"), ("Budi", "Santoso"), ("Priya", "Raghunathan"), ("Hinemoa", "Ngata"), ("Wei", "Zhang"), ("Min-jun", "Kim")],
    "Cyrillic": [("Анна", "Иванова"), ("Олександр", "Шевченко"), ("Георги", "Димитров")],
    "Greek": [("Μαρία", "Παπαδοπούλου"), ("Γιώργος", "Νικολάου")],
    "Arabic and Hebrew": [("محمد", "الأحمد"), ("فاطمة", "حسين"), ("דוד", "כהן")],
    "Han, kana, Hangul": [("伟", "王"), ("太郎", "山田"), ("민준", "김")],
    "Devanagari, Thai": [("प्रिया", "शर्मा"), ("สมชาย", "ใจดี")],
}  # fmt: skip
FORMS = {
    "title": "seen with Dr. {1}",
    "last, first": "{1}, {0}",
    "patient: first last": "patient: {0} {1}",
    "first last": "{0} {1}",
    "in a sentence": "biopsy of {0} {1} was repeated",
}


def main() -> None:
    """Count and print."""
    scanner, cells = RecordScanner(), defaultdict(list)
    for script, names in NAMES.items():
        for first, last in names:
            for form, words in FORMS.items():
                kinds = scanner.kinds_in_record(json.dumps({"remark": words.format(first, last)}))
                cells[script, form].append(any(k.rsplit(":", 1)[-1] != "free_text" for k in kinds))
    print(f"{'script':34}" + "".join(f"{form:>22}" for form in FORMS))
    for script in NAMES:
        print(
            f"{script:34}" + "".join(f"{sum(cells[script, f]):>19}/{len(cells[script, f]):<2}" for f in FORMS)
        )
    everything = [hit for hits in cells.values() for hit in hits]
    record(
        "name_recall_in_unnamed_columns",
        sum(everything) / len(everything),
        "share",
        None,
        f"{len(everything)} cells, {len(NAMES)} scripts, five spellings",
    )


if __name__ == "__main__":
    main()
