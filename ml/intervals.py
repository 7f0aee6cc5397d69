"""Figures of counts with their 95 % intervals: standard library only, for training, reports and pages alike."""

from collections.abc import Sequence

# Of a two-sided 95 % interval under the normal distribution.
Z = 1.959964

Interval = dict[str, float | None]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


def proportion(successes: int, total: int, *, effective: float | None = None) -> Interval:
    """Give successes / total with Wilson's score interval (Wilson 1927); of nothing it is undefined.

    `effective` is how many independent trials the `total` are worth, where they are not independent.
    """
    if total == 0:
        return dict(UNDEFINED)
    share, n = successes / total, total if effective is None else effective
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    # Rounding must not put 0 of n or n of n outside of their own interval.
    return {"value": share, "low": min(share, max(0.0, middle - half)), "high": max(share, min(1.0, middle + half))}


def cohens_kappa(table: Sequence[Sequence[int]]) -> Interval:
    """Give the agreement beyond chance of two readers from a (k, k) `table` of counts, first reader × second reader.

    Cohen 1960, "A coefficient of agreement for nominal scales": (observed - expected) / (1 - expected). The interval
    is by the large-sample variance of Fleiss, Cohen & Everitt 1969. Undefined for an empty table and where both only
    ever said one and the same; without an interval where that variance is 0, as where they never differed.
    """
    n = sum(map(sum, table))
    if n == 0:
        return dict(UNDEFINED)
    p = [[count / n for count in row] for row in table]
    kinds = range(len(p))
    rows, columns = [sum(row) for row in p], [sum(column) for column in zip(*p, strict=True)]
    observed = sum(p[i][i] for i in kinds)
    expected = sum(rows[i] * columns[i] for i in kinds)
    if expected > 1 - 1e-12:
        return dict(UNDEFINED)
    kappa = (observed - expected) / (1 - expected)
    alike = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in kinds)
    apart = sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in kinds for j in kinds if i != j)
    variance = alike + (1 - kappa) ** 2 * apart - (kappa - expected * (1 - kappa)) ** 2
    if variance < 1e-12:
        return {"value": kappa, "low": None, "high": None}
    half = Z * (variance / n) ** 0.5 / (1 - expected)
    return {"value": kappa, "low": max(-1.0, kappa - half), "high": min(1.0, kappa + half)}
