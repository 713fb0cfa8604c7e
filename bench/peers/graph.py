"""LightGCN the way common PyTorch code does it. Forms: "hop" and "propagate" (layout "coo" or "csr"), and "step": one training
step with full propagation, embeddings of all layers stacked and averaged, autograd and Adam; drawing samples is not timed."""
from protocol import load, need, np, option, rows_of, save, serve

torch = need('torch', 'apt-get install python3-torch')
torch.set_num_threads(option('threads'))
torch.manual_seed(0)
form, layout, U, I, d, layers = (option(name) for name in ('form', 'layout', 'userCount', 'itemCount', 'dimension', 'layers'))
peer = f'torch {torch.__version__} {layout.upper()}'

offsets = load('positives.offsets.u32')
u, i = rows_of(offsets), load('positives.columns.u32').astype(np.int64) + U
row, col = np.concatenate([u, i]), np.concatenate([i, u])
degree = np.maximum(np.bincount(row, minlength=U + I), 1)
value = (1 / np.sqrt(degree[row] * degree[col])).astype(np.float32)
A = torch.sparse_coo_tensor(torch.from_numpy(np.stack([row, col])), torch.from_numpy(value), (U + I, U + I)).coalesce()
if layout == 'csr':
    A = A.to_sparse_csr()
E0 = torch.from_numpy(load('parameters.f32', U + I, d))


def product(x):
    return torch.sparse.mm(A, x) if layout == 'coo' else A @ x


def propagate(x):
    every = [x]
    for _ in range(layers):
        x = product(x)
        every.append(x)
    return torch.stack(every, 1).mean(1)


if form == 'hop':
    with torch.no_grad():
        serve(peer, lambda: product(E0), lambda x: save('product.f32', x.numpy()))
elif form == 'propagate':
    with torch.no_grad():
        serve(peer, lambda: propagate(E0), lambda x: save('product.f32', x.numpy()))
else:
    users, items = torch.nn.Embedding(U, d), torch.nn.Embedding(I, d)
    with torch.no_grad():
        users.weight.copy_(E0[:U])
        items.weight.copy_(E0[U:])
    optimiser = torch.optim.Adam([users.weight, items.weight], lr=option('learningRate'))
    size, decay = option('batch'), option('regularisation')
    batch = [torch.randint(0, n, (size,)) for n in (U, I, I)]

    def step():
        b, p, n = batch
        eu, ei = torch.split(propagate(torch.cat([users.weight, items.weight])), [U, I])
        bu, bp, bn = eu[b], ei[p], ei[n]
        penalty = .5 * (users(b).norm(2).pow(2) + items(p).norm(2).pow(2) + items(n).norm(2).pow(2)) / size
        loss = torch.nn.functional.softplus((bu * bn).sum(1) - (bu * bp).sum(1)).mean() + decay * penalty
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    serve(peer, step)
