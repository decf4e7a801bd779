"""A gene page in words: why the sign is as it is, and what speaks against that reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hapsight.report import words
from hapsight.report.gene_view import ModelView

__all__ = ["at", "motif_words", "outcome", "story", "variant_name"]

_CLEAR: Final = 0.05
"""p above which an eQTL's slope has no sign worth telling."""

_NO_DRIVER: Final = {
    "no_variants": "No variant lies in the window of {model}, so it predicts the same for everybody.",
    "constant_prediction": "{model} predicts the same for everybody: it says nothing about who has more.",
    "no_effect": "To {model}, the variants of this gene’s window do nothing that differs between people.",
    "not_additive": "What variants do to {model} one by one does not add up to its prediction, so no single "
    "variant explains it.",
    "withheld": "The variant that {model} makes most of is carried, or lacked, by fewer than five people, "
    "and is not shown.",
    "ok": "No single variant carries the prediction of {model}: none passes the criteria for a driver.",
}


def variant_name(variant: dict[str, Any]) -> str:
    """Its identifier, or place and alleles where it has none."""
    name = variant["variant_id"]
    if name and name != ".":
        return str(name)
    return f"{variant['contig']}:{variant['position'] + 1:,} {variant['ref']}>{variant['alt']}"


def at(distance: int | None) -> str:
    """Where a variant lies.

    Examples
    --------
    >>> at(-87), at(12_340), at(0)
    ('87 bp upstream of the TSS', '12.3 kb downstream of the TSS', 'at the TSS')
    """
    if distance is None:
        return "strand not known"
    if distance == 0:
        return "at the TSS"
    size = f"{abs(distance)} bp" if abs(distance) < 1000 else f"{abs(distance) / 1000:.1f} kb"
    return f"{size} {'upstream' if distance < 0 else 'downstream'} of the TSS"


def story(view: ModelView) -> str:
    """The page in a few sentences, made from its numbers."""
    return " ".join(part for part in (_driver(view), _motif(view), outcome(view), *_doubts(view)) if part)


def outcome(view: ModelView) -> str:
    """R with interval and n, and whether the sign is right."""
    result = view.result
    r, low, high = result["pearson_r"], result["ci_low"], result["ci_high"]
    if r is None:
        return f"There is no R: {words.status(result['status'])} (n {words.count(result['n'])})."
    numbers = (
        f"R {words.decimal(r)} [{words.decimal(low)}, {words.decimal(high)}], n {words.count(result['n'])}"
    )
    if low is None or low <= 0 <= high:
        return f"Whether the sign is right cannot be told: {numbers}."
    return f"Over people the prediction goes the {'right' if r > 0 else 'wrong'} way: {numbers}."


def _driver(view: ModelView) -> str:
    variant = view.variant
    if variant is None or not view.has_driver:
        status = view.driver_status
        text = _NO_DRIVER.get(status, _NO_DRIVER["ok"]).format(model=view.model)
        if variant is None:
            return text
        return f"{text} Shown is {_named(variant)}, which contributes most."
    effect = "raise" if variant["effect"] > 0 else "lower"
    return (
        f"{view.model} says that more ALT alleles of {_named(variant)} {effect} expression; "
        f"{_measured(view, variant)}."
    )


def _named(variant: dict[str, Any]) -> str:
    return f"{variant_name(variant)} ({at(variant['tss_distance'])})"


def _measured(view: ModelView, variant: dict[str, Any]) -> str:
    """What people who carry a variant do."""
    slope, p = variant["slope"], variant["pval_nominal"]
    if slope is None:
        return "its eQTL was not tested" if view.eqtl_mapped else "no eQTLs were mapped to compare with"
    numbers = f"(eQTL slope {words.decimal(slope)}, p {words.p_value(p)})"
    if p > _CLEAR:
        return f"people with them express neither clearly more nor less {numbers}"
    verb = "do express" if (slope > 0) == (variant["effect"] > 0) else "express"
    return f"people with them {verb} {'more' if slope > 0 else 'less'} {numbers}"


def _motif(view: ModelView) -> str:
    motif = view.motif
    if motif is None or not view.has_driver:
        return ""
    verb = {"gain": "makes", "loss": "breaks", "change": "changes"}.get(motif.kind)
    return f"It {verb} a {motif.name} site." if verb else "It makes or breaks no known motif."


def motif_words(view: ModelView) -> str:
    """The motif with its scores, or why there is none."""
    motif = view.motif
    if motif is None:
        return (
            "Motifs of this variant were not looked for: `hapsight drivers` does it, and needs the packages "
            "of `pip install 'hapsight[motifs]'`."
        )
    if motif.kind == "none":
        return "No JASPAR motif is made, broken or changed by this variant."
    verb = {"gain": "Made", "loss": "Broken", "change": "Changed"}[motif.kind]
    ref, alt = words.decimal(motif.ref_score, 1), words.decimal(motif.alt_score, 1)
    return (
        f"{verb}: JASPAR motif {motif.name} ({motif.matrix_id}), score {ref} bits with REF, {alt} with ALT. "
        "Hundreds of motifs are looked for, so one is found by chance often."
    )


def _doubts(view: ModelView) -> Iterator[str]:
    """What a reader should know before believing it."""
    variant, top = view.variant, view.top_eqtl
    if variant is None:
        return
    if top is not None:
        yield _beside_top(view, variant, top.variant)
    opposite = variant["effect_sd"] is not None and variant["effect_sd"] >= abs(variant["effect"]) / 2
    if opposite:
        yield "Its effect depends on what else a haplotype carries."


def _beside_top(view: ModelView, variant: dict[str, Any], top: dict[str, Any]) -> str:
    same = all(top[name] == variant[name] for name in ("position", "ref", "alt"))
    if same:
        return "It is the gene’s strongest eQTL."
    beyond = "" if top["in_window"] else ", beyond what the model reads"
    r2 = "r² to it not known" if top["r2"] is None else f"r² {words.decimal(top['r2'], 2)} to it"
    numbers = f"slope {words.decimal(top['slope'])}, p {words.p_value(top['pval_nominal'])}; {r2}"
    place = f"{at(top['tss_distance'])}{beyond}"
    return f"The gene’s strongest eQTL is another variant, {variant_name(top)} ({place}; {numbers})."
