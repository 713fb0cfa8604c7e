"""What every peer program shares. It is started with one JSON argument: {folder, form, threads, ...shapes}. It loads the raw
little-endian files in `folder`, does the work once to warm up, writes that answer to `folder` so that it can be compared, and
prints one JSON line {peer}. Then, for each line "go" on stdin, it does the work once and answers {wallMs, cpuMs}; CPU time is
that of the whole process, all threads. End of input ends it.

Import this module before numpy, torch or faiss: it fixes the thread counts, which those read when they are imported.
"""
import sys; sys.dont_write_bytecode = True
import json, os, time

options = json.loads(sys.argv[1])
for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ[name] = str(options['threads'])


def option(name):
    return options[name]


def need(module, install):
    """A module, or an answer that says how to get it."""
    try:
        return __import__(module)
    except ImportError:
        print(json.dumps({'missing': module, 'install': install}), flush=True)
        sys.exit(3)


np = need('numpy', 'apt-get install python3-numpy libopenblas0-pthread')
DTYPES = {'f32': np.float32, 'f64': np.float64, 'u32': np.uint32}


def path(name):
    return os.path.join(options['folder'], name)


def load(name, *shape):
    """The array in file `name`, whose ending is its type."""
    array = np.fromfile(path(name), DTYPES[name.rsplit('.', 1)[1]])
    return array.reshape(shape) if shape else array


def save(name, array):
    """An answer; the bench compares those of every form."""
    np.ascontiguousarray(array, DTYPES[name.rsplit('.', 1)[1]]).tofile(path(f"{options['number']}.{name}"))


def rows_of(offsets):
    """The row number of each entry of a CSR."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets.astype(np.int64)))


def serve(peer, work, answer=lambda result: None, prepare=lambda: None):
    """`answer` saves the result of the warm-up; `prepare` runs before each call and is not timed."""
    prepare()
    answer(work())
    print(json.dumps({'peer': peer}), flush=True)
    for line in sys.stdin:
        if line.strip() != 'go':
            continue
        prepare()
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({'wallMs': wall * 1e3, 'cpuMs': cpu * 1e3}), flush=True)
