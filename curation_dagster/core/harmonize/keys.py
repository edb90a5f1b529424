"""Keys of patients and lesions: keyed hashes, so that a publisher's identifier never leaves the intake tables.

HMAC-SHA256 (RFC 2104) under a secret of the installation: without the secret nobody can find out which source id a
key stands for by hashing all ids, which are short and often consecutive.
"""

from __future__ import annotations

import hashlib
import hmac

_LENGTH = 32


def patient_key(secret: bytes, archive: str, patient: str | None) -> str | None:
    """Return the key of a patient, 32 hexadecimal characters; None where the source gives none.

    The same patient of the same archive has the same key in every version; patients of two archives never share one.

    Raises
    ------
    ValueError
        If the secret is empty.
    """
    return _key(secret, "patient", archive, patient)


def lesion_key(secret: bytes, archive: str, lesion: str | None) -> str | None:
    """Return the key of a lesion, 32 hexadecimal characters; None where the source gives none.

    ``lesion`` must be unique in the archive: where lesion ids are unique only within a patient, it is both together.

    Raises
    ------
    ValueError
        If the secret is empty.
    """
    return _key(secret, "lesion", archive, lesion)


def _key(secret: bytes, kind: str, archive: str, id: str | None) -> str | None:
    if not secret:
        raise ValueError(f"the secret for {kind} keys is empty: anybody could recompute the keys")
    if id is None or not id.strip():
        return None
    # the unit separator can't be part of an archive's name, so no two inputs run together
    message = "\x1f".join((kind, archive, id.strip())).encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:_LENGTH]
