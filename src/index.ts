// The table of contents. One import line for a notebook: import { ... } from "cragru".
export { CragruError, ConfigError, DataError, ForgettingError, GenerationError, LedgerError, NativeError } from "./core/errors.js";
export { Interactions, type InteractionColumns, type Shape } from "./core/interactions.js";
export { formatSeconds, type RunOptions } from "./core/progress.js";
export type { Candidate, HistoryLine, Prompt } from "./core/prompt.js";
export type { Ranking, RecommendOptions, Recommender } from "./core/ranking.js";

export { Dataset, type ItemRecord, type UserProfile, type UserRecord } from "./data/dataset.js";
export { fetchDataset, type DownloadOptions, type DownloadReport } from "./data/download.js";
export { exportRecbole, type ExportOptions } from "./data/export.js";
export { loadDataset, DATASET_NAMES, type DatasetName, type LoadOptions } from "./data/load.js";
export { LICENCES, licenceText, type Licence } from "./data/licence.js";
export { evalMask, serveMask } from "./data/masks.js";
export { Split, splitDataset, type Protocol, type SplitOptions, type SplitRatio } from "./data/split.js";
export type { NetflixWindow } from "./data/netflix.js";
export type { Publisher } from "./data/publisher.js";
export { DatasetStatistics, statistics } from "./data/statistics.js";
export type { SyntheticOptions } from "./data/synthetic.js";

export type { Backbone, FitOptions, FitReport, FittedBackbone, ItemVectors, ProfileBackbone } from "./backbone/backbone.js";
export { bpr, type BprOptions } from "./backbone/bpr.js";
export { ease, EaseModel, type EaseOptions } from "./backbone/ease.js";
export type { Change, ExactBackbone, ExactChange, ExactModel } from "./backbone/exact.js";
export { itemKnn, type ItemKnnOptions } from "./backbone/itemknn.js";
export { lightGcn, type LightGcnOptions } from "./backbone/lightgcn.js";
export { fitOnce } from "./backbone/memo.js";
export { popularityBackbone } from "./backbone/popularity.js";
export { loadModel, saveModel } from "./backbone/store.js";

export { attentionRetriever, type AttentionOptions } from "./retrieval/attention.js";
export { clusterItems, genreCategories, type Categories, type ClusterOptions } from "./retrieval/cluster.js";
export { noHistory, randomRetriever, recentRetriever } from "./retrieval/controls.js";
export { diversityRetriever, type DiversityOptions } from "./retrieval/diversity.js";
export { preferenceRetriever, type PreferenceOptions } from "./retrieval/preference.js";
export type { HitRates, RetrievalContext, RetrievalRequest, Retriever, Selector } from "./retrieval/retriever.js";
export { catalogueVectors, readWordVectors, type WordVectors } from "./retrieval/wordvectors.js";

export { buildPrompts, formatPrompt } from "./augmentation/prompt.js";
export { withoutProfile, withProfile, type Template } from "./augmentation/templates.js";

export { chooseGenerator, type Choice, type ChooseOptions } from "./generation/choose.js";
export { copycat } from "./generation/copycat.js";
export { embedded } from "./generation/embedded.js";
export type { Completion, EngineInfo, GenerationCounts, Generator } from "./generation/generator.js";
export { llamaCpp, type LlamaCppOptions } from "./generation/llamacpp/llamacpp.js";
export { ollama, type OllamaOptions } from "./generation/ollama/ollama.js";
export { GenerationFailure } from "./generation/failures.js";
export { journaled, type Journaled } from "./generation/journal.js";
export { queued, type QueuedOptions } from "./generation/queue/queue.js";
export { clearQueue, purgeQueue, queueStatus, retryFailed, type DeadLetter, type QueuePurge, type QueueSelection, type QueueStatus } from "./generation/queue/admin.js";
export type { QueuePlace } from "./generation/queue/link.js";
export type { QueueSettings } from "./generation/queue/store.js";
export { replay, type ReplayOptions } from "./generation/replay.js";
export { generateAll, generateEach, type GenerateAllOptions } from "./generation/schedule.js";
export { startWorker, type QueueWorker, type WorkerOptions, type WorkerReport } from "./generation/queue/worker.js";

export { Cragru, type Answers } from "./unlearning/cragru.js";
export type { CandidateSource, CragruOptions } from "./unlearning/options.js";
export { Retrain, retrain, type RetrainOptions } from "./unlearning/retrain.js";
export type { ForgetRequest, Receipt, Unlearner } from "./unlearning/unlearner.js";

export { compare, Comparison, type CompareOptions, type ComparisonRow } from "./evaluation/compare.js";
export { evaluate, Evaluation, type EvaluateOptions, type MetricValue } from "./evaluation/evaluate.js";
export { holm, pairedBootstrap, wilcoxonSignedRank } from "./evaluation/significance.js";

export { describeNative, loadKernels, measureRoofs } from "./native/load.js";
export type { Held, Holdable, HeldCsr, Kernels } from "./native/kernels.js";
export type { Roofs } from "./native/binding.js";
export { referenceKernels } from "./native/reference.js";
export { loadTensorEngine, type TensorEngine } from "./tensor/engine.js";

export { BACKBONE_NAMES, resolveConfig, RETRIEVER_NAMES, type RunConfig } from "./experiment/config.js";
export { data } from "./experiment/data.js";
export { doctor } from "./experiment/doctor.js";
export { PRESETS } from "./experiment/presets.js";
export { PAPER, publishedCompleteness, publishedSeconds, publishedStatistics, publishedStrategies, publishedUtility } from "./experiment/published.js";
export { readResult } from "./experiment/results.js";
export { run, type ExperimentOptions } from "./experiment/run.js";
export { RunResult } from "./experiment/runresult.js";
// The five steps of the command line, on a run's folder; named apart from the calls that work in memory.
export { split as splitStep } from "./experiment/steps/split.js";
export { cluster as clusterStep } from "./experiment/steps/cluster.js";
export { prompt as promptStep } from "./experiment/steps/prompt.js";
export { showPrompt, ShownPrompt } from "./experiment/steps/showprompt.js";
export { recommend as recommendStep } from "./experiment/steps/recommend.js";
export { evaluate as evaluateStep } from "./experiment/steps/evaluate.js";
