"""Published fits on their own tables; numbers from print or from independent searches (reference: published results)."""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit import fit
from scalinglens.laws.catalogue import law
from scalinglens.runs import read_runs

# ---- Muennighoff et al. 2023, arXiv 2305.16264: RD and RN on 182 runs, the rest held ----------------------------------

HELD = {"A": np.exp(6.255414), "B": np.exp(7.3049974), "E": np.exp(0.6254804), "alpha": 0.3526596, "beta": 0.3526596}


@pytest.fixture(scope="module")
def datablations(table):
    return read_runs(table("datablations/runs_182_published_fit.csv"))


def test_muennighoff_objective_at_print(datablations):
    found = fit(datablations, "muennighoff2023", pin={**HELD, "RD": 15.387756, "RN": 5.309743})
    assert found.value == pytest.approx(0.0158259353, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_muennighoff_print_is_one_of_several_optima_and_not_the_best(datablations, seed):
    found = fit(datablations, "muennighoff2023", pin=HELD, seed=seed)
    assert found.value <= 0.0158047
    assert found.values["RD"] == pytest.approx(95.365, rel=1e-3)
    assert found.values["RN"] == pytest.approx(1.7059, rel=1e-3)
    basins = [(b.parameters["RD"], b.parameters["RN"], b.value) for b in found.certificate.basins]
    assert basins[0] == pytest.approx((95.365, 1.7059, 0.0158046625), rel=1e-4)
    printed = [b for b in basins if abs(b[0] - 15.37) < 0.05]
    assert len(printed) == 1
    assert printed[0] == pytest.approx((15.3718, 5.3151, 0.0158259321), rel=1e-3)
    assert "near optimum" in repr(found)


def test_muennighoff_print_is_a_local_optimum(datablations):
    """Stepping aside from it along RD with RN refitted raises the objective, on both sides."""
    here = fit(datablations, "muennighoff2023", pin={**HELD, "RD": 15.3718, "RN": 5.3151}).value
    for step in (0.9, 0.97, 1.03, 1.1):
        for other in (0.9, 0.97, 1.03, 1.1):
            aside = fit(datablations, "muennighoff2023", pin={**HELD, "RD": 15.3718 * step, "RN": 5.3151 * other})
            assert aside.value > here


# ---- Caballero et al. 2022, arXiv 2210.14891: 4-digit addition --------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("options", "bound"), [
    ({"loss": "squares", "space": "log1p"}, 0.0110),  # the published procedure: least squares on ln(y + 1)
    ({"space": "log1p"}, 0.0110),
    ({"loss": "squares"}, 0.0112),  # plain log space: 1% behind, and so it is for the default Huber loss
    ({}, 0.0113),
])  # fmt: skip
def test_bnsl_four_digit_addition_extrapolates(table, options, bound, seed):
    points = pd.read_csv(table("bnsl-4digit-addition/points.csv"))
    seen, ahead = points[points["split"] == "fit"], points[points["split"] != "fit"]
    assert (len(seen), len(ahead)) == (14, 3)
    found = fit(read_runs(seen, x="train_set_size", loss="test_cross_entropy"), "caballero2022", seed=seed, **options)
    assert found.status == "certified"
    error = {}
    for name, part in (("seen", seen), ("ahead", ahead)):
        prediction = found.predict(x=part["train_set_size"].to_numpy(float))["loss"].to_numpy()
        error[name] = np.sqrt(np.mean(np.log(prediction / part["test_cross_entropy"].to_numpy()) ** 2))
    assert error["ahead"] <= bound
    assert error["seen"] == pytest.approx(0.000598, abs=2e-6)
    if bound == 0.0110:
        published = law("caballero2022").constants
        assert error["ahead"] == pytest.approx(0.01092, abs=1e-5)
        for name, value in published.items():
            assert found.values[name] == pytest.approx(value, rel=1e-3)


# ---- Gemstones 2025, arXiv 2502.06857: approach 3 ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rows", "delta", "best", "printed", "alpha", "beta"), [
    ("fit_hot", 220, 1e-4, 2.075052e-4, 2.07602e-4, 0.2928, 0.7289),
    ("fit_cool_end", 199, 1e-4, 2.047791e-4, 2.05941e-4, 0.3006, 0.5860),
    ("fit_hot_120b+_only", 528, 1e-4, 4.080785e-4, 4.08079e-4, 0.2407, 0.7314),
    ("fit_cool_begin", 199, 1e-4, 2.035364e-4, 2.03545e-4, 0.3104, 0.6865),
    ("fit_hot_100b+", 770, 1e-4, 6.923289e-4, 6.9233e-4, 0.2577, 0.5895),
    ("fit_hot", 220, 1e-3, 1.981613e-3, 1.9816129e-3, 0.2929, 0.7130),
])  # fmt: skip
def test_gemstones_objectives_are_at_or_below_print(table, name, rows, delta, best, printed, alpha, beta):
    runs = read_runs(table(f"gemstones/{name}.jsonl"), params="params_active_precise", loss="final_loss")
    assert len(runs) == rows
    found = fit(runs, "hoffmann2022", delta=delta)
    assert best * 0.99999 <= found.value <= best * 1.00001
    assert found.value <= printed * (1 + 2e-6)  # print has six digits
    assert found.values["alpha"] == pytest.approx(alpha, abs=5e-4)
    assert found.values["beta"] == pytest.approx(beta, abs=3e-3)


# ---- ParScale 2025, arXiv 2505.10475 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("corpus", "objective", "E", "A", "alpha", "k", "R2", "worst"), [
    ("stack-v2-python", 3.676741e-5, 0.691207, 1.13071e7, 0.189358, 0.393457, 0.99783, 0.0061),
    ("pile", 1.813932e-5, 1.288588, 1.97517e8, 0.196281, 0.334442, 0.99868, 0.0063),
])  # fmt: skip
def test_parscale_both_fits(table, corpus, objective, E, A, alpha, k, R2, worst):
    source = pd.read_csv(table("parscale/losses.csv"))
    runs = read_runs(
        source[source["dataset"] == corpus], params_nonembedding="non_embedding_params", streams="parallel_streams"
    )
    found = fit(runs, "parscale2025")
    assert found.status == "certified"
    assert found.value == pytest.approx(objective, abs=1e-9)
    assert found.values["E"] == pytest.approx(E, abs=1e-3)
    assert found.values["alpha"] == pytest.approx(alpha, abs=5e-4)
    assert found.values["k"] == pytest.approx(k, abs=1e-3)
    assert found.values["A"] == pytest.approx(A, rel=0.01)
    seen = runs.column("loss")
    prediction = found.predict(runs)["loss"].to_numpy()
    assert 1 - np.sum((prediction - seen) ** 2) / np.sum((seen - seen.mean()) ** 2) == pytest.approx(R2, abs=2e-5)
    assert np.max(np.abs(prediction / seen - 1)) == pytest.approx(worst, abs=1e-4)


@pytest.mark.parametrize(("corpus", "R2", "MAE"), [("stack-v2-python", 0.9961, 0.0030), ("pile", 0.9970, 0.0038)])
def test_parscale_eight_streams_from_fewer(table, corpus, R2, MAE):
    source = pd.read_csv(table("parscale/losses.csv"))
    part = source[source["dataset"] == corpus]
    names = {"params_nonembedding": "non_embedding_params", "streams": "parallel_streams"}
    found = fit(read_runs(part[part["parallel_streams"] < 8], **names), "parscale2025")
    ahead = part[part["parallel_streams"] == 8]
    assert len(found.observed) == 18
    prediction = found.predict(params_nonembedding=ahead["non_embedding_params"].to_numpy(float), streams=8.0)[
        "loss"
    ].to_numpy()
    seen = ahead["loss"].to_numpy()
    assert np.mean(np.abs(prediction - seen)) == pytest.approx(MAE, abs=1e-4)
    assert 1 - np.sum((prediction - seen) ** 2) / np.sum((seen - seen.mean()) ** 2) == pytest.approx(R2, abs=2e-4)


# ---- Clark et al. 2022, arXiv 2202.01169: routed language models ------------------------------------------------------


@pytest.mark.parametrize(("router", "dense", "rows", "a", "b", "c", "Es", "Em", "rmse"), [
    ("S-Base", False, 53, -0.08350, -0.11900, 0.01016, 1.875, 255, 0.00333),
    ("S-Base", True, 61, -0.08378, -0.12337, 0.01042, 2.394, 218, 0.00320),
    ("RL-R", False, 54, -0.08286, -0.12209, 0.01123, 1.360, 562, 0.00332),
    ("RL-R", True, 62, -0.08347, -0.12793, 0.01169, 1.987, 425, 0.00321),
    ("Hash", False, 51, -0.08743, -0.13761, 0.01264, 3.984, 458, 0.00309),
    ("Hash", True, 59, -0.08868, -0.14641, 0.01342, 4.988, 369, 0.00298),
])  # fmt: skip
def test_clark_routing(table, router, dense, rows, a, b, c, Es, Em, rmse):
    curves = pd.read_csv(table("routed-lm/curves.csv.gz")).sort_values("step", kind="stable")
    last = curves.groupby("hyper_id").tail(1)
    assert len(last) == 223
    kept = last[(last["k"] == 1) & (last["routing_frequency"] == 0.5)]
    kept = kept[(kept["router_type"] == router) | (dense & (kept["router_type"] == "Dense"))]
    runs = read_runs(
        kept[["dense_parameter_count", "num_experts", "loss_validation"]],
        params_dense="dense_parameter_count", experts="num_experts", loss="loss_validation",
    )  # fmt: skip
    assert len(runs) == rows
    found = fit(runs, "clark2022", loss="squares")
    assert found.status == "certified"
    # natural logs in the law, base 10 in print: the residual shrinks by ln 10
    assert np.sqrt(np.mean((found.residuals / np.log(10)) ** 2)) == pytest.approx(rmse, abs=2e-5)
    assert found.values["a"] == pytest.approx(a, abs=1e-3)
    assert found.values["b"] == pytest.approx(b, abs=0.01)
    assert found.values["c"] == pytest.approx(c, abs=1e-3)
    for name, value in (("Es", Es), ("Em", Em)):  # the valley is flat: to a factor of 1.5
        assert abs(np.log(found.values[name] / value)) < np.log(1.5)


# ---- VPNLS, README example on Apple's Chinchilla points ---------------------------------------------------------------


@pytest.mark.parametrize(("options", "objective", "values"), [
    ({}, 0.001622999, {"alpha": 0.36916, "beta": 0.40239, "E": 1.87192, "A": 4.30560, "B": 1.05243}),
    ({"loss": "squares"}, 0.0485403 / 2, {"alpha": 0.38846, "beta": 0.43345, "E": 1.91759, "A": 4.54831, "B": 1.06987}),
])  # fmt: skip
def test_vpnls_continuous_optimum(table, options, objective, values):
    source = pd.read_csv(table("isoflop-collection/isoflops.csv"))
    runs = read_runs(source[source["experiment"] == "ml_scalefit__massivetext__chinchilla"])
    assert len(runs) == 124
    found = fit(runs, "E + A/(params/1e6)^alpha + B/(tokens/1e9)^beta", space="linear", **options)
    assert found.status == "certified"
    assert found.value == pytest.approx(objective, rel=1e-6)
    for name, value in values.items():
        assert found.values[name] == pytest.approx(value, abs=1e-4), name


# ---- Hitchhiker's guide, arXiv 2410.11840: OPT ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "share", "rows", "error"), [(0.0, 0.0, 112, 1.90), (1e10, 0.0, 101, 1.91), (1e10, 0.3, 64, 1.45)]
)
def test_opt_175b_from_smaller_models(table, least, share, rows, error):
    source = pd.read_csv(table("hitchhiker-colpret/opt_trajectories.csv"))
    unit = {"m": 1e6, "b": 1e9}
    source["N"] = [float(s[:-1]) * unit[s[-1].lower()] for s in source["model_size"]]
    source["D"], source["y"] = 10 ** source["num_token"], np.log(source["ppl"])
    target = source[source["N"] > 1e11]
    target = target[target["D"] >= 0.7 * target["D"].max()]
    part = source[source["N"] < 1e11]
    part = part[(part["D"] > least) & (part["D"] >= share * part.groupby("N")["D"].transform("max"))]
    assert (len(part), len(target)) == (rows, 10)
    found = fit(read_runs({"params": part["N"], "tokens": part["D"], "loss": part["y"]}), "hoffmann2022")
    prediction = found.law.value(found.values, {"params": target["N"].to_numpy(), "tokens": target["D"].to_numpy()})
    assert 100 * np.mean(np.abs(prediction / target["y"].to_numpy() - 1)) == pytest.approx(error, abs=0.03)
