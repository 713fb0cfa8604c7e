"""Hessian-vector product of the full-batch BPR loss on E = S E0, in float64. Forms: "autograd" (double backward, as code is
usually written) and "closed" (the same product written out
by hand, no autograd, in blocks)."""
from protocol import load, need, np, option, rows_of, save, serve

torch = need('torch', 'apt-get install python3-torch')
torch.set_num_threads(option('threads'))
form, U, I, d, layers, decay = (option(name) for name in ('form', 'userCount', 'itemCount', 'dimension', 'layers', 'regularisation'))

offsets = load('positives.offsets.u32')
u, i = rows_of(offsets), load('positives.columns.u32').astype(np.int64) + U
row, col = np.concatenate([u, i]), np.concatenate([i, u])
degree = np.maximum(np.bincount(row, minlength=U + I), 1).astype(np.float64)
A = torch.sparse_coo_tensor(torch.from_numpy(np.stack([row, col])), torch.from_numpy(1 / np.sqrt(degree[row] * degree[col])), (U + I, U + I)).coalesce()
E0 = torch.from_numpy(load('parameters.f32', U + I, d).astype(np.float64))
v = torch.from_numpy(load('vector.f64', U + I, d))
users, items, negatives = (torch.from_numpy(load(f'{name}.u32').astype(np.int64)) for name in ('users', 'items', 'negatives'))
items, negatives = items + U, negatives + U


def rows(x, numbers):
    """As x[numbers], with a derivative that is several times faster."""
    return torch.nn.functional.embedding(numbers, x)


class Product(torch.autograd.Function):
    """A x; A is symmetric, so its derivative is itself, as often as wanted (sparse.mm of torch 1.13 stops at the first)."""
    @staticmethod
    def forward(_, x):
        return torch.sparse.mm(A, x)

    @staticmethod
    def backward(_, g):
        return Product.apply(g)


def propagate(x, product):
    t = x
    for _ in range(layers):
        t = x + product(t)
    return t / (layers + 1)


def autograd():
    x = E0.clone().requires_grad_(True)
    E = propagate(x, Product.apply)
    a = rows(E, users)
    loss = torch.nn.functional.softplus((a * (rows(E, negatives) - rows(E, items))).sum(1)).mean() + decay / 2 * x.pow(2).sum()
    g, = torch.autograd.grad(loss, x, create_graph=True)
    return torch.autograd.grad((g * v).sum(), x)[0]


def closed():
    hop = lambda x: torch.sparse.mm(A, x)
    E, V, out = propagate(E0, hop), propagate(v, hop), torch.zeros_like(E0)
    # In blocks that stay in the cache, and by index_put_: several times faster than all at once or by index_add_.
    for at in range(0, len(users), 8192):
        u, i, j = users[at:at + 8192], items[at:at + 8192], negatives[at:at + 8192]
        a, b = rows(E, u), rows(E, i) - rows(E, j)
        da, db = rows(V, u), rows(V, i) - rows(V, j)
        s = torch.sigmoid(-(a * b).sum(1, keepdim=True))
        first, second = -s / len(users), s * (1 - s) / len(users)     # derivatives of softplus(-x) by x
        dx = second * ((da * b).sum(1, keepdim=True) + (a * db).sum(1, keepdim=True))
        gi = dx * a + first * da
        out.index_put_((u,), dx * b + first * db, accumulate=True)
        out.index_put_((i,), gi, accumulate=True)
        out.index_put_((j,), -gi, accumulate=True)
    return propagate(out, hop) + decay * v


serve(f'torch {torch.__version__} ' + ('double backward' if form == 'autograd' else 'closed form'), autograd if form == 'autograd' else closed,
      lambda product: save('product.f64', product.detach().numpy()))
