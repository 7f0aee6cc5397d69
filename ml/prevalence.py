"""What an answer is worth where pneumonia is rare: standard library only, for training, reports and pages alike."""

# The share of pneumonia among those X-rayed differs from place to place; the data set's own is far above any of them.
PREVALENCES = (0.05, 0.10, 0.30)


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> dict[str, float | None]:
    """Give PPV and NPV at a stated `prevalence` (each 0..1) by Bayes' rule; None where nobody gets that answer."""
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    cleared, alarmed = specificity * (1 - prevalence), (1 - specificity) * (1 - prevalence)
    return {
        "ppv": found / (found + alarmed) if found + alarmed else None,
        "npv": cleared / (cleared + missed) if cleared + missed else None,
    }
