"""EASE's algebra. Forms: "gram-sparse" (scipy CSR product), "gram-dense" (BLAS ssyrk, exact below 2^24), "cooccurrence" (CSR
product, then the largest k of each row), "inverse" (LAPACK potrf and potri), "numpy-inverse", "rank-numpy" (the expression),
"rank-dger" (rank 1, in place), "rank-dsyr" (one triangle, in place), "rank-dsyrk" (rank r, one triangle, in place)."""
from protocol import load, need, np, option, save, serve

scipy = need('scipy', 'apt-get install python3-scipy')
import scipy.sparse as sp
from scipy.linalg import blas, lapack

form, n = option('form'), option('size')
label = {'gram-sparse': f'scipy {scipy.__version__} CSR product', 'gram-dense': 'BLAS ssyrk of the dense matrix',
         'cooccurrence': f'scipy {scipy.__version__} CSR product, argpartition', 'inverse': 'LAPACK potrf + potri',
         'numpy-inverse': f'numpy {np.__version__} linalg.inv', 'rank-numpy': f'numpy {np.__version__} expression',
         'rank-dger': 'BLAS dger in place', 'rank-dsyr': 'BLAS dsyr in place', 'rank-dsyrk': 'BLAS dsyrk in place'}[form]


def triangle(matrix):
    """Row by row: np.tril_indices of a big matrix would need gigabytes."""
    return np.concatenate([matrix[row, :row + 1] for row in range(n)])


def square(packed):
    matrix, at = np.empty((n, n)), 0
    for row in range(n):
        matrix[row, :row + 1] = matrix[:row + 1, row] = packed[at:at + row + 1]
        at += row + 1
    return matrix


if form in ('gram-sparse', 'gram-dense', 'cooccurrence'):
    offsets, columns = load('positives.offsets.u32'), load('positives.columns.u32')
    X = sp.csr_matrix((np.ones(len(columns), np.float32), columns.astype(np.int32), offsets.astype(np.int32)), shape=(len(offsets) - 1, n))
    if form == 'gram-sparse':
        serve(label, lambda: X.T @ X, lambda g: save('counts.u32', triangle(g.toarray())))
    elif form == 'gram-dense':
        dense = X.toarray()
        serve(label, lambda: blas.ssyrk(1, dense.T, lower=1), lambda g: save('counts.u32', triangle(g)))
    else:
        k = option('k')

        def work():
            product = (X.T @ X).toarray()
            np.fill_diagonal(product, 0)
            best = np.argpartition(-product, k - 1, axis=1)[:, :k]
            counts = np.take_along_axis(product, best, 1)
            order = np.argsort(-counts, axis=1)
            return np.take_along_axis(best, order, 1), np.take_along_axis(counts, order, 1)

        serve(label, work, lambda found: save('counts.u32', found[1]))
elif form in ('inverse', 'numpy-inverse'):
    A = np.asfortranarray(square(load('matrix.f64')))

    def work():
        if form == 'numpy-inverse':
            return np.linalg.inv(A)
        factor, bad = lapack.dpotrf(A, lower=1, overwrite_a=0)
        inverse, worse = lapack.dpotri(factor, lower=1, overwrite_c=1)
        assert bad == 0 and worse == 0
        return inverse

    serve(label, work, lambda P: save('matrix.f64', triangle(P)))
else:
    P = np.asfortranarray(square(load('matrix.f64')))
    V = load('vectors.f64', -1, n)  # every weight is `weight`
    weight = option('weight')

    def work():
        global P
        if form == 'rank-numpy':
            P = P + (V.T * weight) @ V if len(V) > 1 else P + weight * np.outer(V[0], V[0])
        elif form == 'rank-dger':
            blas.dger(weight, V[0], V[0], a=P, overwrite_a=1)
        elif form == 'rank-dsyr':
            blas.dsyr(weight, V[0], a=P, lower=1, overwrite_a=1)
        else:
            blas.dsyrk(weight, V.T, beta=1, c=P, lower=1, overwrite_c=1)

    serve(label, work, lambda _: save('matrix.f64', triangle(P)))
