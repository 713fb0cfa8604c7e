"""Rates of OpenBLAS through numpy and scipy, best of several: sgemm 2048^3 and with k = 64, dgemm 2048^3, in GFLOP/s."""
from protocol import np, option
import json, time

r = np.random.default_rng(0)


def rate(m, n, k, dtype):
    a, b, out = r.random((m, k), dtype), r.random((n, k), dtype).T, np.empty((m, n), dtype)
    best = float('inf')
    for _ in range(option('runs')):
        t, c = time.perf_counter(), time.process_time()
        np.matmul(a, b, out=out)
        t, c = time.perf_counter() - t, time.process_time() - c
        # One thread: CPU time, as for every line; it does not count a neighbour's share of the core.
        best = min(best, c if option('threads') == 1 else t)
    return 2 * m * n * k / best / 1e9


print(json.dumps({'sgemm': rate(2048, 2048, 2048, np.float32), 'sgemm64': rate(6040, 3706, 64, np.float32),
                  'dgemm': rate(2048, 2048, 2048, np.float64)}), flush=True)
