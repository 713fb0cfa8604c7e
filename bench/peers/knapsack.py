"""Multiple-choice knapsack by dynamic programming, vectorised over instances, with backtracking. Level l of a category costs l
(1 to L), at most `capacity` in all. In float32, half the bytes of our float64."""
from protocol import load, np, option, save, serve

count, n, L, C = (option(name) for name in ('instances', 'categories', 'levels', 'capacity'))
value = load('values.f64', count, n, L).astype(np.float32)


def work():
    best, choice = np.zeros((count, C + 1), np.float32), np.zeros((n, count, C + 1), np.int8)
    for c in range(n):
        new = np.full((count, C + 1), -np.inf, np.float32)
        for l in range(1, L + 1):
            candidate = best[:, :C + 1 - l] + value[:, c, l - 1:l]
            target = new[:, l:]
            better = candidate > target
            np.copyto(target, candidate, where=better)
            np.copyto(choice[c][:, l:], l, where=better)
        best = new
    w, rows, levels = np.argmax(best, 1), np.arange(count), np.empty((count, n), np.int8)
    for c in range(n - 1, -1, -1):
        levels[:, c] = choice[c][rows, w]
        w = w - levels[:, c]
    return levels


serve(f'numpy {np.__version__} batched, float32', work, lambda levels: save('levels.u32', levels))
