import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import { startHub } from "./skein.ts"

export type CliOptions = { directory: string; rounds: number }
export const CLI: Omit<CliOptions, "directory"> = { rounds: 21 }

type Timing = { p50Ms: number; p90Ms: number }
export type CliReport = { node: Timing; status: Timing; version: Timing; taskList: Timing; ratio: number; gate: Record<string, Verdict> }

const LAUNCHER = join(import.meta.dirname, "..", "bin", "skein.cjs")

/** A call of the CLI against the bare start of Node, from fork to exit, in turns. */
export async function benchCli({ directory, rounds }: CliOptions): Promise<CliReport> {
  const hub = await startHub(directory)
  const env = { ...process.env, XDG_STATE_HOME: directory }
  const calls = {
    node: ["-e", "0"],
    status: [LAUNCHER, "status", "--global"],
    version: [LAUNCHER, "--version"],
    taskList: [LAUNCHER, "task", "list", "--global", "--json"],
  }
  const taken: Record<keyof typeof calls, number[]> = { node: [], status: [], version: [], taskList: [] }
  for (let at = -2; at < rounds; at += 1) {
    for (const [name, args] of Object.entries(calls) as [keyof typeof calls, string[]][]) {
      const startMs = performance.now()
      const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" })
      // The first rounds fill the compile cache and the page cache.
      if (at >= 0) taken[name].push(performance.now() - startMs)
      if (status !== 0) throw new Error(`skein ${args.slice(1).join(" ")} ended with ${status}: ${stderr}`)
    }
  }
  await hub.stop()
  const timing = (name: keyof typeof calls): Timing => ({ p50Ms: round(median(taken[name])), p90Ms: round(percentile(taken[name], 0.9)) })
  const [node, status] = [timing("node"), timing("status")]
  const ratio = round(status.p50Ms / node.p50Ms)
  return {
    node,
    status,
    version: timing("version"),
    taskList: timing("taskList"),
    ratio,
    gate: { statusVsNode: { value: ratio, limit: 2.5, ok: ratio < 2.5 }, statusMs: { value: status.p50Ms, limit: 100, ok: status.p50Ms < 100 } },
  }
}

export function describeCli({ node, status, version, taskList, gate }: CliReport): string {
  const rows = Object.entries({ "node -e 0": node, "skein --version": version, "skein status": status, "skein task list --json": taskList }).map(
    ([name, { p50Ms, p90Ms }]) => [name, show(p50Ms), show(p90Ms), show(p50Ms / node.p50Ms)],
  )
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, show(value), show(limit), ok === true ? "holds" : "FAILS"])
  return [table(["a call, start to end", "p50", "p90 ms", "x node"], rows), table(["gate", "value", "limit", ""], verdicts)].join("\n\n")
}
