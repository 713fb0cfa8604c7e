import type { Interactions } from "../core/interactions.js";
import { Breather, type RunOptions } from "../core/progress.js";
import type { RetrievalRequest } from "./retriever.js";

/** Runs one user's selection after the other, leaving the event loop free; progress by users. */
export async function selectEach(
  requests: readonly RetrievalRequest[], { signal, onProgress }: RunOptions, select: (request: RetrievalRequest) => Interactions,
): Promise<Interactions[]> {
  signal?.throwIfAborted();
  const breather = new Breather(signal);
  const selected: Interactions[] = [];
  for (const request of requests) {
    selected.push(select(request));
    if (breather.due()) {
      onProgress?.(selected.length, requests.length);
      await breather.pause();
    }
  }
  onProgress?.(requests.length, requests.length);
  return selected;
}
