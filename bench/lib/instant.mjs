// A server that speaks the Ollama protocol and answers at once with the same scores, in one piece: what remains is the cost of asking.
// Its version says that it is a test server. Started by generation.mjs as a process of its own; writes its address as the first line.
import { createServer } from "node:http";

const head = { model: "instant", created_at: new Date(0).toISOString() };
const short = {
  "/api/version": { version: "0.0.0-cragru-test" },
  "/api/tags": { models: [{ name: "instant:latest", model: "instant:latest", digest: "0".repeat(64) }] },
  "/api/show": { capabilities: ["completion"] },
  "/api/generate": { ...head, response: "", done: true, done_reason: "load" },
};

createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  if (short[request.url]) return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(short[request.url]));
  const { format } = JSON.parse(Buffer.concat(pieces).toString());
  const content = JSON.stringify(Object.fromEntries(format.required.map((key, at) => [key, 1 + ((at * 37) % 100)])));
  const last = { ...head, message: { role: "assistant", content: "" }, done: true, done_reason: "stop", prompt_eval_count: 3000, eval_count: 287 };
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.end(`${JSON.stringify({ ...head, message: { role: "assistant", content }, done: false })}\n${JSON.stringify(last)}\n`);
}).listen(0, "127.0.0.1", function () {
  process.stdout.write(`http://127.0.0.1:${this.address().port}\n`);
});
process.stdin.on("end", () => process.exit()).resume(); // ends with whoever started it
