"""Check digits of numbers that states and banks give to persons: what tells such a number from any other of its length.

Each function takes the letters and digits of a match in capitals, without separators, and says whether it is one.
"""

from __future__ import annotations

from collections.abc import Callable

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
# values of the characters at odd places (Decreto Ministeriale 12/03/1974)
_FISCALE_ODD = dict(
    zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
         22, 25, 24, 23], strict=True)
)  # fmt: skip


def us_ssn(text: str) -> bool:
    """Return whether area, group and serial are such as were ever given (SSA, since 2011: no 000, 666 and 9xx).

    >>> us_ssn("219099999"), us_ssn("666099999")
    (True, False)
    """
    area, group, serial = text[:3], text[3:5], text[5:]
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def es_dni(text: str) -> bool:
    """Return whether the letter of a Spanish DNI or NIE is right (modulus 23).

    >>> es_dni("12345678Z"), es_dni("X1234567L"), es_dni("12345678A")
    (True, True, False)
    """
    digits = text[:-1].translate(str.maketrans("XYZ", "012"))
    return digits.isdigit() and _DNI_LETTERS[int(digits) % 23] == text[-1]


def de_steuer_id(text: str) -> bool:
    """Return whether a German tax identification number has its structure and check digit (ISO 7064 MOD 11,10).

    >>> de_steuer_id("86095742719"), de_steuer_id("86095742718"), de_steuer_id("12345678903")
    (True, False, False)
    """
    counts = sorted(text[:10].count(d) for d in set(text[:10]))
    if counts[-1] not in (2, 3) or counts[:-1] != [1] * (len(counts) - 1):
        return False  # one digit is there two or three times, all others at most once
    product = 10
    for digit in text[:10]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(text[10])


def uk_nhs(text: str) -> bool:
    """Return whether an NHS number has its check digit (modulus 11).

    >>> uk_nhs("9434765919"), uk_nhs("9434765918")
    (True, False)
    """
    if len(set(text)) == 1:
        return False
    return (11 - sum(int(d) * w for d, w in zip(text[:9], range(10, 1, -1), strict=True)) % 11) % 11 == int(
        text[9]
    )


def br_cpf(text: str) -> bool:
    """Return whether a Brazilian CPF has its two check digits.

    >>> br_cpf("52998224725"), br_cpf("52998224724"), br_cpf("11111111111")
    (True, False, False)
    """
    if len(set(text)) == 1:
        return False
    for size in (9, 10):
        total = sum(int(d) * w for d, w in zip(text[:size], range(size + 1, 1, -1), strict=True))
        if total * 10 % 11 % 10 != int(text[size]):
            return False
    return True


def fr_nir(text: str) -> bool:
    """Return whether a French NIR has its key (97 minus the number modulo 97; Corsica counts as 19 and 18).

    >>> fr_nir("255081416802538"), fr_nir("255081416802539")
    (True, False)
    """
    number = text[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def it_codice_fiscale(text: str) -> bool:
    """Return whether an Italian codice fiscale has its check letter.

    >>> it_codice_fiscale("RSSMRA85T10A562S"), it_codice_fiscale("RSSMRA85T10A562A")
    (True, False)
    """
    total = 0
    for place, character in enumerate(text[:15], start=1):
        even = int(character) if character.isdigit() else ord(character) - ord("A")
        total += _FISCALE_ODD[character] if place % 2 else even
    return chr(ord("A") + total % 26) == text[15]


def iban(text: str) -> bool:
    """Return whether an IBAN has its check digits (ISO 7064 MOD 97,10).

    >>> iban("DE89370400440532013000"), iban("DE89370400440532013001")
    (True, False)
    """
    if not 15 <= len(text) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


CHECKSUMS: dict[str, Callable[[str], bool]] = {
    f.__name__: f for f in (us_ssn, es_dni, de_steuer_id, uk_nhs, br_cpf, fr_nir, it_codice_fiscale, iban)
}


def holds(name: str, matched: str) -> bool:
    """Return whether the letters and digits of what a pattern matched hold the named rule.

    Raises
    ------
    KeyError
        If there is no rule of that name.
    """
    text = "".join(c for c in matched.upper() if c.isascii() and c.isalnum())
    return CHECKSUMS[name](text)
