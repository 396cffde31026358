import { spawn, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { httpClient } from "../src/client/http.ts"
import { endLater } from "./child.ts"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import { sleep } from "./scratch.ts"
import { type HubAddress, startHub } from "./skein.ts"

/** `warmRounds`: before those, to fill the compile cache and the page cache; nothing of them is kept. */
export type CliOptions = { directory: string; rounds: number; warmRounds: number }
export const CLI: Omit<CliOptions, "directory"> = { rounds: 21, warmRounds: 2 }

type Timing = { p50Ms: number; p90Ms: number }
export type CliReport = {
  node: Timing
  status: Timing
  version: Timing
  taskList: Timing
  hook: Timing
  exportLag: Timing
  ratio: number
  gate: Record<string, Verdict>
}

const ROOT = join(import.meta.dirname, "..")
/** 150 ms where a bare start takes 35. */
const HOOK_VS_NODE = 4.3
const LAUNCHER = join(ROOT, "bin", "skein.cjs")

/** A call of the CLI against the bare start of Node, from fork to exit, in turns. */
export async function benchCli({ directory, rounds, warmRounds }: CliOptions): Promise<CliReport> {
  const hub = await startHub(directory)
  const env = { ...process.env, XDG_STATE_HOME: directory }
  const calls = {
    node: ["-e", "0"],
    status: [LAUNCHER, "status", "--global"],
    version: [LAUNCHER, "--version"],
    taskList: [LAUNCHER, "task", "list", "--global", "--json"],
    // As Claude Code asks before each of its edits, which wait for the answer.
    hook: [LAUNCHER, "hook", "claude", "PreToolUse", "--global"],
  }
  const edit = JSON.stringify({ session_id: "bench", cwd: ROOT, tool_name: "Edit", tool_input: { file_path: join(ROOT, "README.md") } })
  const call = (args: readonly string[]): void => {
    const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8", input: edit })
    if (status !== 0 || stderr !== "") throw new Error(`skein ${args.slice(1).join(" ")} ended with ${status}: ${stderr}`)
  }
  call([LAUNCHER, "agent", "add", "claude", "--global"])
  const taken: Record<keyof typeof calls, number[]> = { node: [], status: [], version: [], taskList: [], hook: [] }
  for (let at = -warmRounds; at < rounds; at += 1) {
    for (const [name, args] of Object.entries(calls) as [keyof typeof calls, string[]][]) {
      const startMs = performance.now()
      call(args)
      if (at >= 0) taken[name].push(performance.now() - startMs)
    }
  }
  const lags = await exportLags(hub.address, { directory: join(directory, "exported"), env, rounds })
  await hub.stop()
  const timingOf = (ms: readonly number[]): Timing => ({ p50Ms: round(median(ms)), p90Ms: round(percentile(ms, 0.9)) })
  const timing = (name: keyof typeof calls): Timing => timingOf(taken[name])
  const [node, status, hook] = [timing("node"), timing("status"), timing("hook")]
  const ratio = round(status.p50Ms / node.p50Ms)
  return {
    node,
    status,
    version: timing("version"),
    taskList: timing("taskList"),
    hook,
    exportLag: timingOf(lags),
    ratio,
    gate: {
      statusVsNode: { value: ratio, limit: 2.5, ok: ratio < 2.5 },
      statusMs: { value: status.p50Ms, limit: 100, ok: status.p50Ms < 100 },
      hookVsNode: { value: round(hook.p50Ms / node.p50Ms), limit: HOOK_VS_NODE, ok: hook.p50Ms / node.p50Ms < HOOK_VS_NODE },
      exportLagMs: { value: round(median(lags)), limit: 100, ok: median(lags) < 100 },
    },
  }
}

/** From the acknowledgement of a task to the file of `skein export --follow` that shows it. */
async function exportLags(
  { url, directory: instance }: HubAddress,
  { directory, env, rounds }: { directory: string; env: NodeJS.ProcessEnv; rounds: number },
): Promise<number[]> {
  const child = spawn(process.execPath, [LAUNCHER, "export", "--dir", directory, "--follow", "--global"], { env, stdio: "ignore" })
  endLater(child)
  const client = httpClient({ url, credentialFile: join(instance, "operator.credential") })
  const file = join(directory, "task_graph.json")
  const shows = async (seq: number): Promise<void> => {
    while (!existsSync(file) || (JSON.parse(readFileSync(file, "utf8")) as { seq: number }).seq < seq) await sleep(1)
  }
  const lags: number[] = []
  for (let at = 0; at <= rounds; at += 1) {
    const { seq } = await client.call("task.add", { id: `exported-${at}`, title: "T" })
    const startMs = performance.now()
    await shows(seq)
    // The first waits until it follows.
    if (at > 0) lags.push(performance.now() - startMs)
    await sleep(100)
  }
  client.close()
  child.kill("SIGINT")
  return lags
}

export function describeCli({ node, status, version, taskList, hook, exportLag, gate }: CliReport): string {
  const calls = {
    "node -e 0": node,
    "skein --version": version,
    "skein status": status,
    "skein task list --json": taskList,
    "skein hook, before an edit": hook,
  }
  const rows = Object.entries({ ...calls, "skein export --follow, its lag": exportLag }).map(([name, { p50Ms, p90Ms }]) => [
    name,
    show(p50Ms),
    show(p90Ms),
    show(p50Ms / node.p50Ms),
  ])
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, show(value), show(limit), ok === true ? "holds" : "FAILS"])
  return [table(["a call, start to end", "p50", "p90 ms", "x node"], rows), table(["gate", "value", "limit", ""], verdicts)].join("\n\n")
}
