"""The dynamical model of random features (Bordelon, Atanasov and Pehlevan 2024), solved by contour integrals.

problem.py        the question: spectrum, model size, samples, noise
solve.py          the verb: losses at any times, with an accuracy
renormalised.py   the scalar map s = z (1 - D/P)(1 - D/N)
correlations.py   two-point functions in closed form
optimizers.py     gradient flow, descent, momentum, weight decay as contours; rules.py: what a contour is
scheduled.py      descent with a learning rate of its own at every step
early_stopping.py when to stop, or how much weight decay to take instead
static.py         the limits of late times
one_pass.py       stochastic gradient descent on fresh batches
exponents.py      what grows and falls how fast, by regime
frontier.py       the best size at each compute
"""
