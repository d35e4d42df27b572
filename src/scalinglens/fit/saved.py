"""A fit as plain data, and as one JSON file that brings it back."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from scalinglens.errors import SavedFitError
from scalinglens.files import written_whole
from scalinglens.fit.certificate import Certificate
from scalinglens.fit.objective import Loss
from scalinglens.fit.search import Basin
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.laws.schedule import Schedule

if TYPE_CHECKING:
    from scalinglens.fit.estimate import Estimate
    from scalinglens.fit.result import Fit

__all__ = ["SCHEMA", "load", "restored", "save", "to_dict", "to_document", "write_document"]

SCHEMA = 1


def to_dict(fit: Fit) -> dict[str, Any]:
    """Return a fit as the JSON object of `scalinglens fit --json`, numbers unrounded."""
    certificate = asdict(fit.certificate)
    certificate["basins"] = [asdict(basin) for basin in fit.certificate.basins]
    certificate["reasons"] = list(fit.certificate.reasons)
    objective = {
        "name": fit.loss.name,
        "delta": fit.loss.delta,
        "space": fit.loss.space,
        "asymmetry": fit.loss.asymmetry,
        "reduction": "sum",
        "value": fit.value,
        "scale": fit.scale,
    }
    return _finite(
        {
            "schema": SCHEMA,
            "law": fit.law.name,
            "formula": fit.law.formula,
            "status": fit.status,
            "certificate": certificate,
            "objective": objective,
            "parameters": {name: _estimate(e) for name, e in fit.parameters.items()},
            "pinned": list(fit.pinned),
            "level": fit.level,
            "interval": fit.interval_method,
            "rows": {"read": fit.table["read"], "used": fit.table["used"], "dropped": list(fit.table["dropped"])},
            "columns": dict(fit.table["columns"]),
            "target": fit.target,
            "derived": {name: _estimate(e) for name, e in fit.derived.items()},
            "settings": dict(fit.settings),
            "data": {"origin": fit.table["origin"], "sha256": fit.table["sha256"]},
            "citations": list(fit.citations()),
            "warnings": list(fit.warnings),
        }
    )


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit, with its draws and data points, to one JSON file; a crash leaves the old file or none."""
    write_document(to_document(fit), path)


def to_document(fit: Fit) -> dict[str, Any]:
    """Return everything that brings a fit back, as plain data."""
    law = fit.law
    state = {
        "law": {
            "name": law.name,
            "formula": law.formula,
            "output": law.output,
            "unit": law.unit,
            "domains": {name: [d.low, d.high, d.open] for name, d in law.domains.items()},
            "derived": dict(law.derived),
            "source": law.source,
            "citation": law.about.get("citation", ""),
            **({"between": list(law.between)} if law.between else {}),
        },
        "values": dict(fit.values),
        **_points(fit.points),
        "observed": fit.observed.tolist(),
        "residuals": fit.residuals.tolist(),
        "ratios": fit.ratios,
        "weights": fit.weights.tolist(),
        "groups": fit.groups.tolist(),
        "absorbed": fit.absorbed,
        "draws": fit.draws.tolist(),
        "left_out": None if fit.left_out is None else fit.left_out.tolist(),
        "covariance": None if fit.covariance is None else fit.covariance.tolist(),
        "profile": None if fit.profile is None else {name: list(ends) for name, ends in fit.profile.items()},
        "table": dict(fit.table),
        "settings": dict(fit.settings),
        "bounds": dict(fit.certificate.bounds),
    }
    # a refit that failed is a row of NaN among the draws, and JSON has none
    return to_dict(fit) | {"saved": _finite(state)}


def write_document(document: Mapping[str, Any], path: str | Path) -> None:
    """Write plain data with the versions that made it and a checksum."""
    document = {
        **document,
        "versions": {
            "scalinglens": version("scalinglens"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
    document["checksum"] = _digest(document)
    with written_whole(path) as part:
        part.write_text(json.dumps(document), encoding="utf-8")


def load(path: str | Path) -> Any:
    """Read a fit, or a pool of fits, written by its `save`.

    Raises:
        SavedFitError: the file is missing, truncated, altered, no saved fit, or of an unknown version.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = json.loads(text) if text.lstrip().startswith("{") else None
    except FileNotFoundError:
        raise SavedFitError(
            f"there is no saved fit {path}; check the path, or write one with `scalinglens fit RUNS --save fit.json`"
        ) from None
    except OSError as problem:
        raise SavedFitError(f"cannot read {path}: {problem.strerror}; pass a file that `--save` wrote") from None
    except UnicodeDecodeError:
        raise SavedFitError(f"{path} is no text, so no saved fit; pass a file that `--save` wrote") from None
    except json.JSONDecodeError as problem:
        raise SavedFitError(
            f"{path} is not complete JSON ({problem}); it may have been cut off: save the fit again"
        ) from None
    if not isinstance(document, dict) or "saved" not in document:
        raise SavedFitError(f"{path} is not a saved fit; write one with `scalinglens fit RUNS --save fit.json`")
    if document.get("schema") != SCHEMA:
        raise SavedFitError(f"{path} has schema {document.get('schema')!r}, this version reads {SCHEMA}; fit again")
    if _digest({name: part for name, part in document.items() if name != "checksum"}) != document.get("checksum"):
        raise SavedFitError(f"{path} was altered after it was saved (its checksum does not fit); fit again")
    if "pool" in document["saved"]:
        from scalinglens.fit.compare.pooled_text import restored as restored_pool

        return restored_pool(document)
    return restored(document)


def restored(document: Mapping[str, Any]) -> Fit:
    """Return the fit that `to_document` made plain data of."""
    from scalinglens.fit.result import Fit

    state = document["saved"]
    words = state["law"]
    law = Law(
        name=words["name"],
        formula=words["formula"],
        output=words["output"],
        unit=words["unit"],
        domains={name: _domain(*ends) for name, ends in words["domains"].items()},
        derived=words["derived"],
        source=words["source"],
        about={"citation": words["citation"]},
        between=tuple(words.get("between", ())),
    )
    certificate = dict(document["certificate"])
    certificate["basins"] = tuple(Basin(**basin) for basin in certificate["basins"])
    certificate["reasons"] = tuple(certificate["reasons"])
    certificate["bounds"] = {name: np.inf if end is None else end for name, end in state["bounds"].items()}
    for name in ("gradient", "smallest_eigenvalue", "condition"):  # None stands for an infinity in JSON
        certificate[name] = np.inf if certificate[name] is None else certificate[name]
    objective = document["objective"]
    size = len(law.parameters)
    return Fit(
        law=law,
        loss=Loss(objective["name"], objective["delta"], objective["space"], objective["asymmetry"]),
        status=document["status"],
        values=state["values"],
        pinned=tuple(document["pinned"]),
        certificate=Certificate(**certificate),
        value=objective["value"],
        scale=objective["scale"],
        points=_restored_points(state),
        observed=np.array(state["observed"], dtype=float),
        residuals=np.array(state["residuals"], dtype=float),
        ratios=state["ratios"],
        weights=np.array(state["weights"], dtype=float),
        groups=np.array(state.get("groups", range(len(state["observed"]))), dtype=int),
        absorbed=float(state.get("absorbed", size)),
        draws=np.array(state["draws"], dtype=float).reshape(-1, size),
        left_out=None if state["left_out"] is None else np.array(state["left_out"], dtype=float).reshape(-1, size),
        covariance=None if state.get("covariance") is None else np.array(state["covariance"], dtype=float),
        profile=None if state["profile"] is None else {name: tuple(ends) for name, ends in state["profile"].items()},
        level=document["level"],
        interval_method=document["interval"],
        target=document["target"],
        table=state["table"],
        settings=state["settings"],
        warnings=tuple(document["warnings"]),
    )


def _points(points: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Input -> values; schedules are written once and then named by their number."""
    found: dict[str, Any] = {name: array for name, array in points.items() if name != "schedule"}
    words: dict[str, Any] = {"points": {name: array.tolist() for name, array in found.items()}}
    if "schedule" in points:
        known = {id(one): one for one in points["schedule"]}
        number = {key: i for i, key in enumerate(known)}
        words["points"]["schedule"] = [number[id(one)] for one in points["schedule"]]
        words["schedules"] = [one.to_dict() for one in known.values()]
    return words


def _restored_points(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {name: np.array(values, dtype=float) for name, values in state["points"].items()}
    if "schedules" in state:
        known = np.empty(len(state["schedules"]), dtype=object)
        known[:] = [Schedule.from_dict(words) for words in state["schedules"]]
        found["schedule"] = known[found["schedule"].astype(int)]
    return found


def _domain(low: float | None, high: float | None, is_open: bool) -> Domain:
    """A domain whose infinite ends were written as null."""
    return Domain(-np.inf if low is None else low, np.inf if high is None else high, is_open)


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _finite(value: Any) -> Any:
    """Replace infinities and NaN by None: JSON has none."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
