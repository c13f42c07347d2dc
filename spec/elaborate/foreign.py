"""What ops and fields are called elsewhere, the words that a person brings along, and ours. Used for hints only."""

from __future__ import annotations

from collections.abc import Collection

OPS = {
    "avgpool": "avg_pool2d",
    "cat": "concat",
    "clamp": "clip",
    "cumsum": "cumulative_sum",
    "dense": "linear",
    "fc": "linear",
    "fullyconnected": "linear",
    "globalaveragepooling2d": "adaptive_avg_pool2d",
    "interpolate": "upsample2d",
    "maskedfill": "where",
    "maxpool": "max_pool2d",
    "mean": "reduce_mean",
    "multiheadattention": "attention",
    "permute": "transpose",
    "prod": "reduce_prod",
    "scaleddotproductattention": "attention",
    "sum": "reduce_sum",
    "tril": "lower_triangle",
    "triu": "upper_triangle",
    "var": "reduce_variance",
    "view": "reshape",
}
"""In small letters without `_`: the op that does it here."""

CELLS = frozenset({"rnn", "elman", "lstm", "gru", "lstmcell", "grucell", "rnncell"})
"""Recurrent layers, which are blocks here."""

FIELDS: dict[str, str | tuple[str, ...] | None] = {
    "dim": ("axis", "axes"),
    "dims": "axes",
    "embedding_dim": "features",
    "in_channels": None,
    "in_features": None,
    "keepdim": "keep",
    "keepdims": "keep",
    "kernel_size": "kernel",
    "negative_slope": "slope",
    "normalized_shape": "axes",
    "num_embeddings": "rows",
    "num_features": None,
    "num_groups": "groups",
    "num_heads": "heads",
    "out_channels": "filters",
    "out_features": "features",
    "p": "rate",
    "pool_size": "kernel",
    "scale_factor": ("scale", "factor"),
    "strides": "stride",
    "units": "features",
    "use_bias": "bias",
}
"""Names of fields elsewhere: ours, the first of them that the op has; None for sizes that are inferred here."""


def op_hint(name: str) -> str | None:
    """What to write for another framework's op, or None."""
    word = folded(name.rpartition(".")[2])
    if word in CELLS:
        return (
            "recurrent layers are blocks: write include: {recurrent: zoo:recurrent} and {block: recurrent.stack, ...}"
        )
    return f"did you mean `{OPS[word]}`?" if word in OPS else None


def field_hint(name: str, fields: Collection[str]) -> str | None:
    """What to write for another framework's field, or None."""
    if name not in FIELDS:
        return None
    ours = FIELDS[name]
    if ours is None:
        return "leave it out: it is inferred from the operand"
    for one in (ours,) if isinstance(ours, str) else ours:
        if one in fields:
            return f"did you mean `{one}`?"
    return None


def folded(word: str) -> str:
    """A word without its case and `_`."""
    return word[:80].replace("_", "").lower()
