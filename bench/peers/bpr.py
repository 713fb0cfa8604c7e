"""One BPR epoch of `implicit`, where it is importable. On several threads it is not deterministic."""
from protocol import load, need, np, option, serve
import os
os.environ['OPENBLAS_NUM_THREADS'] = '1'
implicit = need('implicit', 'pip install implicit; without it the sequential program of this folder is the peer')
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking

offsets, columns = load('positives.offsets.u32'), load('positives.columns.u32')
X = sp.csr_matrix((np.ones(len(columns), np.float32), columns.astype(np.int32), offsets.astype(np.int32)), shape=(option('userCount'), option('itemCount')))
model = BayesianPersonalizedRanking(factors=option('dimension'), iterations=1, num_threads=option('threads'), random_state=1, verify_negative_samples=True)
# fit() goes on from the factors that are there; what it prepares before its first epoch is inside the time.
serve(f'implicit {implicit.__version__}', lambda: model.fit(X, show_progress=False))
