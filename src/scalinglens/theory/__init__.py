"""Solvable models: curves without training anything, always checked by simulation.

random_features/   the dynamical model (Bordelon, Atanasov and Pehlevan 2024) by contour integrals
simulate.py, students.py, two_time.py   its brute-force twins: random draws, matrices in two times
learning_curve.py  a measured spectrum in, predicted losses out
joint_data_model.py, regimes.py, manifold.py, information.py, scale_time.py, evidence.py, quanta.py, hierarchy.py,
trajectories.py, value_network.py   its relatives, one paper or two each
models.py          what the command line offers, by name; answer.py: what each gives back
"""
