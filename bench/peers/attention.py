"""Multi-head attention weights of candidates over a user's history: einsum and softmax, then the mean over heads ("mean") or
its top k of each candidate ("top"). `block` users at a time: all at once as code is usually written, 8 to stay in the cache."""
from protocol import load, need, option, save, serve

torch = need('torch', 'apt-get install python3-torch')
torch.set_num_threads(option('threads'))
form, n, c, h, d, heads, k, block = (option(name) for name in ('form', 'users', 'candidates', 'history', 'dimension', 'heads', 'k', 'block'))
q = torch.from_numpy(load('queries.f32', n, c, heads, d // heads))
x = torch.from_numpy(load('keys.f32', n, h, heads, d // heads))
mean = torch.empty(n, c, h)
weights, found = torch.empty(n, c, k), torch.empty(n, c, k, dtype=torch.int64)


def work():
    for s in range(0, n, block):
        e = min(n, s + block)
        a = torch.softmax(torch.einsum('nchd,nxhd->nhcx', q[s:e], x[s:e]) / (d // heads) ** .5, -1).mean(1)
        if form == 'mean':
            mean[s:e] = a
        else:
            weights[s:e], found[s:e] = torch.topk(a, k, dim=-1)


def answer(_):
    save('weights.f32', (mean if form == 'mean' else weights).numpy())


serve(f'torch {torch.__version__}, {"all" if block >= n else block} users at a time', work, answer)
