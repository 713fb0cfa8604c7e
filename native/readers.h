// Arguments as they arrive from src/native/addon.ts, field by field, copied or shared but not yet checked.
#pragma once
#include "arguments.h"

namespace cragru {

// Position of the text among the names.
inline size_t readChoice(const Arguments& read, const char* name, std::initializer_list<const char*> names) {
  const std::string text = read.text(name);
  size_t at = 0;
  for (const char* one : names) {
    if (text == one) return at;
    at++;
  }
  throw Error{"NATIVE_RANGE", std::string(name) + " is none of its names.", ""};
}

inline bool readOperand(const Arguments& read) { return readChoice(read, "operand", {"float32", "bf16"}) == 1; }

inline ScoreTopK readScoreTopK(const Arguments& read) {
  ScoreTopK input;
  input.users = read.floats("users");
  input.items = read.floats("items");
  input.dimension = read.whole("dimension");
  input.k = read.whole("k");
  input.masked = read.has("mask");
  if (input.masked) input.mask = read.csr("mask");
  return input;
}

inline Propagate readPropagate(const Arguments& read) {
  Propagate input;
  input.userCount = read.whole("userCount");
  input.itemCount = read.whole("itemCount");
  input.dimension = read.whole("dimension");
  input.layers = read.whole("layers");
  input.bf16 = readOperand(read);
  input.parameters = read.floats("parameters");
  input.positives = read.csr("positives");
  return input;
}

// BPR arrives as LightGCN with 0 layers.
inline Training readTraining(const Arguments& both) {
  const Arguments state = both.inner("state"), read = both.inner("input");
  Training input;
  input.state.userCount = state.whole("userCount");
  input.state.itemCount = state.whole("itemCount");
  input.state.dimension = state.whole("dimension");
  input.state.parameters = state.ownFloats("parameters");
  input.state.first = state.ownFloats("first");
  input.state.second = state.ownFloats("second");
  input.state.step = state.whole("step");
  input.positives = read.csr("positives");
  input.seed = read.word("seed");
  input.firstEpoch = read.whole("firstEpoch");
  input.epochs = read.whole("epochs");
  input.batchCount = read.word("batchCount");
  input.learningRate = read.number("learningRate");
  input.regularisation = read.number("regularisation");
  input.adam = readChoice(read, "optimiser", {"adam", "sgd"}) == 0;
  input.hogwild = readChoice(read, "update", {"batch", "hogwild"}) == 1;
  input.bf16 = readOperand(read);
  input.layers = read.whole("layers");
  return input;
}

inline Attention readAttention(const Arguments& read) {
  Attention input;
  input.queries = read.floats("queries");
  input.queryOffsets = read.words("queryOffsets");
  input.keys = read.floats("keys");
  input.keyOffsets = read.words("keyOffsets");
  input.dimension = read.whole("dimension");
  input.heads = read.whole("heads");
  if (read.has("bias")) input.bias = read.floats("bias");
  input.output = static_cast<AttentionOutput>(readChoice(read, "output", {"heads", "weights", "max", "mean", "top"}));
  if (input.output == AttentionOutput::top) input.k = read.whole("k");
  return input;
}

inline Knapsack readKnapsack(const Arguments& read) {
  Knapsack input;
  input.categoryOffsets = read.words("categoryOffsets");
  input.levels = read.words("levels");
  input.values = read.doubles("values");
  input.capacities = read.words("capacities");
  input.atMost = readChoice(read, "boundary", {"exact", "atMost"}) == 1;
  return input;
}

inline KMeans readKMeans(const Arguments& read) {
  KMeans input;
  input.points = read.doubles("points");
  input.centroids = read.doubles("centroids");
  input.dimension = read.whole("dimension");
  input.rounds = read.whole("rounds");
  return input;
}

inline Gram readGram(const Arguments& read) {
  Gram input;
  input.positives = read.csr("positives");
  input.columnCount = read.whole("columnCount");
  return input;
}

inline Cooccurrence readCooccurrence(const Arguments& read) {
  Cooccurrence input;
  input.positives = read.csr("positives");
  input.columnCount = read.whole("columnCount");
  input.k = read.whole("k");
  return input;
}

// Leaves the matrix to the caller: it is copied or taken from a held array.
inline Cholesky readCholesky(const Arguments& read) {
  Cholesky input;
  input.size = read.whole("size");
  input.inverse = readChoice(read, "output", {"factor", "inverse"}) == 1;
  return input;
}

inline RankUpdate readRankUpdate(const Arguments& read) {
  RankUpdate input;
  input.size = read.whole("size");
  input.vectors = read.doubles("vectors");
  input.weights = read.doubles("weights");
  return input;
}

inline Loss readLoss(const Arguments& read) {
  Loss input;
  input.userCount = read.whole("userCount");
  input.itemCount = read.whole("itemCount");
  input.dimension = read.whole("dimension");
  input.layers = read.whole("layers");
  input.parameters = read.floats("parameters");
  if (input.layers > 0) input.positives = read.csr("positives");
  input.bce = readChoice(read, "loss", {"bpr", "bce"}) == 1;
  input.users = read.words("users");
  input.items = read.words("items");
  if (input.bce) input.labels = read.floats("labels");
  else input.negatives = read.words("negatives");
  input.regularisation = read.number("regularisation");
  input.gaussNewton = readChoice(read, "hessian", {"full", "gn"}) == 1;
  return input;
}

inline HessianProduct readHessianProduct(const Arguments& read) { return {readLoss(read), read.doubles("vector")}; }

inline ConjugateGradient readConjugateGradient(const Arguments& read) {
  ConjugateGradient input;
  input.loss = readLoss(read);
  input.gradient = read.doubles("gradient");
  input.restricted = read.has("rows");
  if (input.restricted) input.rows = read.words("rows");
  input.damping = read.number("damping");
  input.tolerance = read.number("tolerance");
  input.iterations = read.whole("iterations");
  return input;
}

}  // namespace cragru
