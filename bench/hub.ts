/** The hub from src/ as it stands, for work on the hub itself (SKEIN_BENCH_SOURCE=1); the figures in the docs come from the one that users start. */
import { serveHub } from "../src/cli/hub-process.ts"

const [directory = ""] = process.argv.slice(2)
await serveHub({ directory, repository: null }, { host: "127.0.0.1", port: null, allowedHosts: [] }, (url) =>
  process.stdout.write(`${JSON.stringify({ up: true, url })}\n`),
)
process.exit(0)
