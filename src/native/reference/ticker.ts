const EVERY_MS = 100;

/** Progress at most ten times a second, and once at the end. */
export class Ticker {
  private next = performance.now() + EVERY_MS;

  constructor(private readonly onProgress: ((done: number, total: number) => void) | undefined, private readonly total: number) {}

  at(done: number): void {
    if (!this.onProgress) return;
    const now = performance.now();
    if (now < this.next) return;
    this.next = now + EVERY_MS;
    this.onProgress(done, this.total);
  }

  end(): void {
    this.onProgress?.(this.total, this.total);
  }
}
