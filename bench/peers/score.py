"""Score, mask and top-k for all users. Forms: "torch" in blocks of `block` users (1,024 as code is usually written; 32 keeps a
block of scores in the cache), "faiss" (exact flat index; it cannot mask), "implicit" (where it is importable)."""
from protocol import load, need, np, option, rows_of, save, serve

form, d, k, threads = option('form'), option('dimension'), option('k'), option('threads')
users, items = load('users.f32', -1, d), load('items.f32', -1, d)
masked = option('masked')
if masked:
    offsets, columns = load('mask.offsets.u32').astype(np.int64), load('mask.columns.u32').astype(np.int64)


def answer(lists):
    save('lists.u32', lists)


if form == 'torch':
    torch = need('torch', 'apt-get install python3-torch')
    torch.set_num_threads(threads)
    block = option('block')
    u, v = torch.from_numpy(users), torch.from_numpy(items)
    if masked:
        rows, seen = torch.from_numpy(rows_of(offsets)), torch.from_numpy(columns)
    found = torch.empty(len(u), k, dtype=torch.int64)
    best = torch.empty(len(u), k)

    def work():
        for s in range(0, len(u), block):
            e = min(len(u), s + block)
            score = u[s:e] @ v.T
            if masked:
                lo, hi = offsets[s], offsets[e]
                score[rows[lo:hi] - s, seen[lo:hi]] = -float('inf')
            best[s:e], found[s:e] = torch.topk(score, k)
        return found.numpy()

    serve(f'torch {torch.__version__}, {block:,} users a block', work, answer)
elif form == 'faiss':
    faiss = need('faiss', 'apt-get install python3-faiss')
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(d)
    index.add(items)
    serve(f'FAISS {faiss.__version__} flat, no mask', lambda: index.search(users, k)[1], answer)
else:
    import os
    os.environ['OPENBLAS_NUM_THREADS'] = '1'
    implicit = need('implicit', 'pip install implicit')
    import scipy.sparse as sp
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    model = BayesianPersonalizedRanking(factors=d, num_threads=threads, random_state=1)
    model.user_factors, model.item_factors = users, items
    seen = sp.csr_matrix((np.ones(len(columns), np.float32), columns, offsets), shape=(len(users), len(items)))
    everyone = np.arange(len(users))
    serve(f'implicit {implicit.__version__}', lambda: model.recommend(everyone, seen, N=k, filter_already_liked_items=True)[0], answer)
