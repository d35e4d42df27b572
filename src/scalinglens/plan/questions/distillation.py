"""Distillation: a teacher or none, and which teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, one_of, read, value_of

__all__ = ["distillation"]

SCENARIOS = {
    "free": (0, 0, "the teacher's answers are there already: nothing is paid for it"),
    "inference": (1, 0, "the teacher exists: its forward passes over the student's tokens are paid"),
    "pretraining": (0, 1, "the teacher is trained for the purpose; its answers are paid by other students"),
    "both": (1, 1, "the teacher is trained for the purpose and runs over the student's tokens"),
}
"""What is paid for the teacher: name -> toggles of logits and pretraining, words."""

_RATIO = 20.0  # tokens per parameter of a teacher that exists, where they are not given
_SIZES = (1e6, 1e13)
_ZOOMS, _POINTS = 12, 61


def distillation(
    *,
    params_nonembedding: Amount,
    tokens: Amount | None = None,
    flops: Amount | None = None,
    teacher: str = "inference",
    params_teacher: Amount | None = None,
    tokens_teacher: Amount | None = None,
) -> Plan:
    """Say whether a student should be distilled or trained alone, and how large its teacher should be.

    L_S = L_T + L_T^-c0 (1 + (L_T/(L~ d1))^(1/f1))^(-c1 f1) (A N^-a + B D^-b)^g, L~ of the student trained alone;
    cost 3 F_S D + F_T (logits D + pretraining 3 D_T), F = 2 N

    Args:
        params_nonembedding: of the student, without embeddings.
        tokens: the student sees; or flops.
        flops: of everything that is paid; alone, the student would get all of it as tokens.
        teacher: what of it is paid: free, inference, pretraining, both.
        params_teacher: of a teacher that is settled; by default the best one.
        tokens_teacher: it was trained on; by default 20 per parameter, with pretraining paid from flops the best number.

    Returns:
        params_teacher, tokens_teacher, loss_teacher; tokens, flops; loss_distilled, loss_alone at the same compute and
        loss_alone_same_tokens; gain_loss: what distilling gains at the compute, or at the
        tokens where these are given (negative: train alone).

    Raises:
        PlanError: an unknown scenario, or a budget that does not pay the teacher.

    Cost: some ten milliseconds.

    Source: Busbridge et al. 2025 (arXiv 2502.08606); the constants are unverified.

    >>> found = distillation(params_nonembedding="1B", tokens="20B")
    >>> f"{found.answer['loss_alone_same_tokens'].value:.4f}"
    '2.3747'
    """
    if teacher not in SCENARIOS:
        raise PlanError(
            f'there is no scenario "{teacher}"{did_you_mean(str(teacher), SCENARIOS)}; there are {", ".join(SCENARIOS)}'
        )
    one_of(tokens=tokens, flops=flops)
    given = read(
        params_nonembedding=params_nonembedding,
        tokens=tokens,
        flops=flops,
        params_teacher=params_teacher,
        tokens_teacher=tokens_teacher,
    )
    logits, trained, words = SCENARIOS[teacher]
    size = given["params_nonembedding"]

    def student_tokens(nt: Any, dt: Any) -> Any:
        """Tokens left for the student; not positive where the teacher alone is too dear."""
        if "tokens" in given:
            return np.full(np.shape(nt), given["tokens"])
        return (given["flops"] - 2 * nt * 3 * trained * dt) / (6 * size + 2 * nt * logits)

    def data_of(nt: Any, ratio: Any) -> Any:
        return np.full(np.shape(nt), given["tokens_teacher"]) if "tokens_teacher" in given else nt * ratio

    def distilled(nt: Any, ratio: Any) -> Any:
        dt = data_of(nt, ratio)
        d = student_tokens(nt, dt)
        with np.errstate(all="ignore"):
            loss = student_loss(size, np.where(d > 0, d, 1.0), supervised_loss(nt, dt))
        return np.where(d > 0, loss, np.inf)

    free_ratio = bool(trained and "flops" in given and "tokens_teacher" not in given)
    settled = given.get("params_teacher")
    sizes = _SIZES if settled is None else (settled, settled)
    nt, ratio = zoomed(distilled, sizes, (0.1, 1e4) if free_ratio else (_RATIO, _RATIO))
    dt = float(data_of(nt, ratio))
    d = float(student_tokens(nt, dt))
    if not d > 0:
        raise PlanError(
            f"{given['flops']:.3g} FLOP do not pay that teacher; take a smaller one, or fewer tokens for it"
        )
    loss_teacher = float(supervised_loss(nt, dt))
    spent = value_of(
        "busbridge2025.cost",
        fwd_student=2 * size,
        fwd_teacher=2 * nt,
        tokens=d,
        tokens_teacher=dt,
        use_logits=logits,
        use_pretraining=trained,
    )
    loss = float(student_loss(size, d, loss_teacher))
    alone = float(supervised_loss(size, spent / (6 * size)))
    alone_here = float(supervised_loss(size, d))
    answer = {
        "params_teacher": nt,
        "tokens_teacher": dt,
        "loss_teacher": loss_teacher,
        "teacher_per_student": nt / size,
        "tokens": d,
        "flops": spent,
        "loss_distilled": loss,
        "loss_alone": alone,
        "loss_alone_same_tokens": alone_here,
        "gain_loss": (alone if "flops" in given else alone_here) - loss,
    }
    warnings = [
        "all constants of this law are unverified: take the direction of the answer, not its digits",
        "with enough tokens a student trained alone does as well; distil where the teacher exists or serves several students",
    ]
    if alone <= loss:
        more = "" if "flops" in given else f", as {spent / (6 * size):.3g} tokens for the student alone do better"
        warnings.insert(
            0, f"train alone where compute is what counts: at {spent:.3g} FLOP distilling does not gain{more}"
        )
    stronger = float(student_loss(size, d, 0.98 * loss_teacher))
    if stronger > loss and "params_teacher" in given:
        warnings.append("the teacher is too strong for the student (capacity gap): a weaker one would teach it better")
    return answered(
        "distillation",
        source="busbridge2025",
        given={**given, "teacher": teacher},
        answer=answer,
        laws=("busbridge2025.student", "busbridge2025.supervised", "busbridge2025.cost"),
        near_optimal={} if "params_teacher" in given else _near(distilled, nt, ratio, loss),
        assumptions=(
            words,
            "a forward pass costs 2 FLOP per parameter and token; teacher and student share tokenizer and data",
        ),
        warnings=warnings,
        figure=_figure(distilled, nt, ratio, alone),
    )


def supervised_loss(params: Any, tokens: Any) -> Any:
    """Loss of a model trained alone; arrays broadcast.

    >>> round(float(supervised_loss(1e9, 2e10)), 4)
    2.3747
    """
    law = find_law("busbridge2025.supervised", unverified=True)
    params, tokens = np.broadcast_arrays(np.asarray(params, dtype=float), np.asarray(tokens, dtype=float))
    return law.value(points={"params_nonembedding": params, "tokens": tokens})


def student_loss(params: float, tokens: Any, loss_teacher: Any) -> Any:
    """Loss of a student distilled from a teacher of a loss; arrays broadcast.

    >>> round(float(student_loss(1e9, 2e10, 2.2)), 3)
    2.317
    """
    law = find_law("busbridge2025.student", unverified=True)
    tokens, taught = np.broadcast_arrays(np.asarray(tokens, dtype=float), np.asarray(loss_teacher, dtype=float))
    points = {"params_nonembedding": np.full(tokens.shape, params), "tokens": tokens, "loss_teacher": taught}
    return law.value(points={**points, "loss_supervised": supervised_loss(params, tokens)})


def zoomed(
    loss: Callable[[Any, Any], Any], first: tuple[float, float], second: tuple[float, float]
) -> tuple[float, float]:
    """Return where a loss of two positive inputs is least, by grids of logarithms that shrink around the best point.

    >>> [round(x, 6) for x in zoomed(lambda x, y: np.log(x / 3) ** 2 + np.log(y / 7) ** 2, (1, 100), (1, 100))]
    [3.0, 7.0]
    """
    ends = [np.log(first), np.log(second)]
    limits = [tuple(e) for e in ends]
    x = y = 0.0
    for _ in range(_ZOOMS):
        a, b = (np.linspace(e[0], e[1], _POINTS) if e[1] > e[0] else np.array([e[0]]) for e in ends)
        values = np.asarray(loss(np.exp(a)[:, None], np.exp(b)[None, :]))
        values = np.broadcast_to(values, (len(a), len(b)))
        i, j = np.unravel_index(int(np.argmin(np.where(np.isfinite(values), values, np.inf))), values.shape)
        x, y = float(a[i]), float(b[j])
        # four grid steps on each side keep a slanted valley inside
        ends = [
            np.clip([c - 4 * (e[1] - e[0]) / (_POINTS - 1), c + 4 * (e[1] - e[0]) / (_POINTS - 1)], *limit)
            for c, e, limit in zip((x, y), ends, limits, strict=True)
        ]
    return float(np.exp(x)), float(np.exp(y))


def _near(loss: Callable[[Any, Any], Any], nt: float, ratio: float, best: float) -> dict[str, Any]:
    t = np.geomspace(*_SIZES, 4001)
    values = np.asarray(loss(t, np.full(t.shape, ratio)))
    good = t[values <= best * (1 + 1e-3)]
    low, high = (float(good[0]), float(good[-1])) if len(good) else (nt, nt)
    return {"tolerance": 1e-3, "params_teacher": (low, high)}


def _figure(loss: Callable[[Any, Any], Any], nt: float, ratio: float, alone: float) -> Figure:
    x = np.geomspace(nt / 100, nt * 100, 81)
    y = np.asarray(loss(x, np.full(x.shape, ratio)))
    known = np.isfinite(y)
    marks = (
        Line(x[known], y[known], ACCENT, 1.8),
        Rule(alone, "y", MUTED, "dashed", "alone"),
        Rule(nt, "x", MUTED, "dotted", "teacher"),
    )
    panel = Panel(
        "Loss of the student", Axis("size of the teacher", "log", "engineering"), Axis("loss (nats/token)"), marks
    )
    return Figure(title="Distillation (unverified constants)", panels=(panel,))
