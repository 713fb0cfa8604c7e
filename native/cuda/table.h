/* The way to CUDA code: plain C types, status codes, one table of functions. Neither exceptions nor C++ types cross it, so the
   code behind it can later live in a library of its own without a change on this side. Meaning, shapes and order of operations
   are those of src/native/kernels.ts; arguments must have passed native/check.h. A kernel that is not in this table is not on the
   GPU yet. */
#ifndef CRAGRU_CUDA_TABLE_H
#define CRAGRU_CUDA_TABLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CRAGRU_CUDA_VERSION = 2, CRAGRU_CUDA_TEXT = 256 };

/* What a call returns. */
enum {
  CRAGRU_CUDA_DONE = 0,
  CRAGRU_CUDA_CANCELLED = 1, /* cancelled() said so */
  CRAGRU_CUDA_MEMORY = 2,    /* the GPU has not that much memory; call.bytes were asked for */
  CRAGRU_CUDA_DEVICE = 3,    /* the driver reports an error, in call.text */
  CRAGRU_CUDA_RANGE = 4,     /* values too large to add; call.bytes is the number of the instance */
  CRAGRU_CUDA_DIVERGED = 5,  /* training left the finite numbers; call.bytes is the number of the epoch */
  CRAGRU_CUDA_PIVOT = 6,     /* not positive definite; call.bytes is the column */
  CRAGRU_CUDA_HOST = 7,      /* not enough memory of the host */
  CRAGRU_CUDA_LOGITS = 8,    /* logits of attention that float32 cannot hold; call.bytes is the number of the user */
  CRAGRU_CUDA_INVERSE = 9,   /* the inverse leaves the range of double; call.bytes is the column */
  CRAGRU_CUDA_SPOILT = 10,   /* an updated matrix leaves the finite numbers */
  CRAGRU_CUDA_SUMS = 11,     /* a sum left the finite numbers */
  CRAGRU_CUDA_MEANS = 12     /* a mean of points left the finite numbers */
};

typedef struct {
  char name[256];
  uint64_t memoryBytes;
  int major, minor; /* compute capability */
} CragruCudaDevice;

/* One call: what the kernel asks of its caller, and what it says when it fails. The functions may be null; they are called
   between launches, on the calling thread, and must not throw. */
typedef struct {
  int device;
  int (*cancelled)(void* context);
  void (*progress)(void* context, double done, double total);
  void* context;
  uint64_t bytes;
  char text[CRAGRU_CUDA_TEXT];
} CragruCudaCall;

/* Memory of the GPU that stays between calls. */
typedef struct CragruCudaArray CragruCudaArray;

/* An argument: `count` values, held on the device where `held` is set, else at `data`, which is then copied for this call. */
typedef struct {
  const float* data;
  size_t count;
  CragruCudaArray* held;
} CragruCudaFloats;
typedef struct {
  const double* data;
  size_t count;
  CragruCudaArray* held;
} CragruCudaDoubles;
typedef struct {
  const uint32_t* data;
  size_t count;
  CragruCudaArray* held;
} CragruCudaWords;
typedef struct {
  CragruCudaWords offsets, columns;
} CragruCudaCsr;

typedef struct {
  CragruCudaFloats users, items;
  size_t userRows, itemCount, dimension, k;
  int masked;
  CragruCudaCsr mask;
  uint32_t* resultItems; /* [userRows, k] */
  float* resultScores;   /* [userRows, k] */
} CragruCudaScoreTopK;

typedef struct {
  size_t userCount, itemCount, dimension, layers;
  int bf16;
  CragruCudaFloats parameters;
  CragruCudaCsr positives;
  float* result; /* [userCount + itemCount, dimension] */
} CragruCudaPropagate;

typedef struct {
  CragruCudaWords categoryOffsets, levels, capacities; /* of the host: read there to cut the work */
  CragruCudaDoubles values;
  int atMost;
  uint32_t* choices; /* [all categories] */
  double* totals;    /* [instances] */
} CragruCudaKnapsack;

enum { CRAGRU_CUDA_HEADS = 0, CRAGRU_CUDA_WEIGHTS = 1, CRAGRU_CUDA_MAX = 2, CRAGRU_CUDA_MEAN = 3, CRAGRU_CUDA_TOP = 4 };

typedef struct {
  CragruCudaFloats queries, keys, bias;       /* bias of count 0: none */
  CragruCudaWords queryOffsets, keyOffsets;   /* of the host */
  size_t dimension, heads, k;
  int output;
  size_t resultCount;
  float* result;
  uint32_t* resultKeys; /* of CRAGRU_CUDA_TOP */
} CragruCudaAttention;

typedef struct {
  size_t userCount, itemCount, dimension, layers;
  float *parameters, *first, *second; /* replaced where the call succeeds */
  uint64_t* step;
  CragruCudaCsr positives;
  uint32_t seed, batchCount;
  uint64_t firstEpoch, epochs;
  double learningRate, regularisation;
  int adam, bf16;
  double* losses; /* [epochs] */
} CragruCudaTraining;

typedef struct {
  double* matrix; /* lower triangle, n (n + 1) / 2; replaced where the call succeeds */
  size_t size;
  int inverse;
} CragruCudaCholesky;

typedef struct {
  double* matrix;
  size_t size;
  CragruCudaDoubles vectors, weights;
} CragruCudaRankUpdate;

typedef struct {
  CragruCudaCsr positives;
  size_t columnCount;
  uint32_t* result; /* lower triangle */
} CragruCudaGram;

typedef struct {
  CragruCudaCsr positives;
  size_t columnCount, k;
  uint32_t *resultItems, *resultCounts; /* [columnCount, k] */
} CragruCudaCooccurrence;

typedef struct {
  size_t userCount, itemCount, dimension, layers;
  CragruCudaFloats parameters;
  CragruCudaCsr positives; /* of layers > 0 */
  int bce;
  CragruCudaWords users, items, negatives; /* negatives of BPR alone */
  CragruCudaFloats labels;                 /* of BCE alone */
  double regularisation;
  int gaussNewton;
} CragruCudaLoss;

typedef struct {
  CragruCudaLoss loss;
  CragruCudaDoubles vector;
  double* result;
} CragruCudaHessianProduct;

typedef struct {
  CragruCudaLoss loss;
  CragruCudaDoubles gradient;
  int restricted;
  const uint32_t* rows; /* as many as the gradient has rows */
  double damping, tolerance;
  size_t iterations;
  double* solution;
  size_t* done;
  double* residual;
  int* negativeCurvature;
} CragruCudaConjugateGradient;

typedef struct {
  CragruCudaDoubles points, centroids;
  size_t dimension, rounds;
  uint32_t* labels;                    /* [points] */
  double *resultCentroids, *distances; /* [clusters, dimension], [points] */
  size_t* done;                        /* rounds taken */
} CragruCudaKMeans;

typedef struct {
  int version;
  /* Number of usable devices, 0 without a driver or GPU; writes one sentence about what was found. Never fails. */
  int (*countDevices)(char* text, size_t size);
  /* 0, or a CUDA error number. */
  int (*describeDevice)(int number, CragruCudaDevice* device);

  /* Held arrays. upload makes one of `bytes` bytes; free may come while nothing uses it, and of null does nothing. */
  int (*upload)(CragruCudaCall* call, const void* data, size_t bytes, CragruCudaArray** array);
  int (*download)(CragruCudaCall* call, const CragruCudaArray* array, void* data);
  void (*free)(CragruCudaArray* array);

  int (*scoreTopK)(CragruCudaCall* call, const CragruCudaScoreTopK* input);
  int (*propagate)(CragruCudaCall* call, const CragruCudaPropagate* input);
  int (*knapsack)(CragruCudaCall* call, const CragruCudaKnapsack* input);
  int (*attentionWeights)(CragruCudaCall* call, const CragruCudaAttention* input);
  int (*train)(CragruCudaCall* call, const CragruCudaTraining* input); /* "batch" updates; 0 layers: BPR */
  int (*cholesky)(CragruCudaCall* call, const CragruCudaCholesky* input);
  int (*rankUpdate)(CragruCudaCall* call, const CragruCudaRankUpdate* input);
  int (*gram)(CragruCudaCall* call, const CragruCudaGram* input);
  int (*itemCooccurrence)(CragruCudaCall* call, const CragruCudaCooccurrence* input);
  int (*kmeans)(CragruCudaCall* call, const CragruCudaKMeans* input);
  int (*hessianProduct)(CragruCudaCall* call, const CragruCudaHessianProduct* input);
  int (*conjugateGradient)(CragruCudaCall* call, const CragruCudaConjugateGradient* input);
} CragruCudaTable;

const CragruCudaTable* cragru_cuda_table(void);

#ifdef __cplusplus
}
#endif

#endif
