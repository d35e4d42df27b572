"""Learning rate, batch and weight decay: each published law is of one recipe, so the spread is part of the answer."""

from __future__ import annotations

from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, value_of

__all__ = ["learning_rate"]

_BATCH_SEQUENCE = 2048  # tokens: the sequences in which porian2024 and bergsma2025 count batches
_LARGEST = 1.213e10  # parameters above which kaplan2020.lr is negative


def learning_rate(
    *,
    params_nonembedding: Amount,
    tokens: Amount,
    params: Amount | None = None,
    batch_tokens: Amount | None = None,
) -> Plan:
    """Recommend a learning rate, a batch and a weight decay for a run, with what other laws say.

    lr = exp(k) N^a D^b, batch = exp(k') D^b', weight decay = B/(lr D tau), tau = c (D/N)^m

    Args:
        params_nonembedding: parameters without embeddings.
        tokens: of training.
        params: with embeddings, for laws that count so; by default the same.
        batch_tokens: tokens per step where they are settled; by default the batch recommended.

    Returns:
        learning_rate, batch_tokens, weight_decay; the spread holds what each law says in its own recipe.

    Raises:
        PlanError: an amount that is not positive.

    Source: Li et al. 2025 (arXiv 2503.04715), DeepSeek-AI 2024 (arXiv 2401.02954), Porian et al. 2024, Kaplan et al. 2020,
        Bergsma et al. 2025 (arXiv 2505.13738).

    >>> found = learning_rate(params_nonembedding="1B", tokens="100B")
    >>> f"{found.answer['learning_rate'].value:.5g} {found.answer['batch_tokens'].value:.3g}"
    '0.0016624 1.11e+06'
    """
    given = read(params_nonembedding=params_nonembedding, tokens=tokens, params=params, batch_tokens=batch_tokens)
    size, data = given["params_nonembedding"], given["tokens"]
    whole = given.get("params", size)
    rate = value_of("steplaw2025.lr_precise", params_nonembedding=size, tokens=data)
    batch = given.get("batch_tokens") or value_of("steplaw2025.batch_precise", tokens=data)
    decay = value_of("bergsma2025.wd_opt", batch_tokens=batch, learning_rate=rate, tokens=data, params=whole)
    spread = {
        "porian2024": {
            "learning_rate": value_of("porian2024.lr", params=whole),
            "batch_tokens": value_of("porian2024.batch_tokens", params=whole),
        },
        "deepseek2024": {
            "learning_rate": value_of("deepseek2024.lr_opt", flops=6 * whole * data),
            "batch_tokens": value_of("deepseek2024.B_opt", flops=6 * whole * data),
        },
        "bergsma2025": {"batch_tokens": _BATCH_SEQUENCE * value_of("bergsma2025.B_opt", tokens=data)},
    }
    laws = ["steplaw2025.lr_precise", "steplaw2025.batch_precise", "bergsma2025.wd_opt"]
    laws += [
        "porian2024.lr",
        "porian2024.batch_tokens",
        "deepseek2024.lr_opt",
        "deepseek2024.B_opt",
        "bergsma2025.B_opt",
    ]
    if size < _LARGEST:
        spread["kaplan2020"] = {"learning_rate": value_of("kaplan2020.lr", params_nonembedding=size)}
        laws.append("kaplan2020.lr")
    rates = [rate, *(said["learning_rate"] for said in spread.values() if "learning_rate" in said)]
    factor = max(rates) / min(rates)
    return answered(
        "learning_rate",
        source="steplaw2025",
        given=given,
        answer={"learning_rate": rate, "batch_tokens": batch, "weight_decay": decay},
        laws=laws,
        spread=spread,
        assumptions=("AdamW, decoupled decay, learning rate decayed to zero or near it; standard parameterization",),
        warnings=(
            f"the laws differ by a factor of {factor:.1f} in the learning rate: each is of one recipe (optimizer, schedule, "
            "initialisation); try two neighbours of the value on a small run",
        ),
    )
