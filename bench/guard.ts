import { execFileSync, spawnSync } from "node:child_process"
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { httpClient } from "../src/client/http.ts"
import { installGuard } from "../src/repo/guard.ts"
import { findRepository } from "../src/repo/instance.ts"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import { startHub } from "./skein.ts"

/** `warmRounds`: before those, to fill the compile cache and the page cache; nothing of them is kept. */
export type GuardOptions = { directory: string; rounds: number; warmRounds: number; files: number; leases: number }
export const GUARD: Omit<GuardOptions, "directory"> = { rounds: 25, warmRounds: 2, files: 1_000, leases: 100 }

type Timing = { p50Ms: number; p90Ms: number; moreThanPlainMs: number }
type Kind = "plain" | "shHook" | "nodeHook" | "guardNoHub" | "guard"
export type GuardReport = {
  files: number
  leases: number
  timings: Record<Kind, Timing>
  nodeStartMs: number
  guardVsNodeHook: number
  gate: Record<string, Verdict>
}

const LAUNCHER = join(import.meta.dirname, "..", "bin", "skein.cjs")

/** What a team writes that checks staged files with Node: husky's way of one script that starts another. */
const NODE_HOOK = `const { execFileSync } = require("node:child_process")
const staged = execFileSync("git", ["diff", "--cached", "--name-only", "-z"], { encoding: "utf8" }).split("\\0")
process.exit(staged.some((path) => path.startsWith("held/")) ? 1 : 0)
`

/** `git commit` of one file, from fork to exit, each kind in turn: without hooks, with a hook in sh, with one in Node, and guarded. */
export async function benchGuard({ directory, rounds, warmRounds, files, leases }: GuardOptions): Promise<GuardReport> {
  const hub = await startHub(directory)
  const { url, credential } = hub.address
  const operator = httpClient({ url, credential })
  const credentials = new Map<string, string>()
  for (const name of ["goose", "heron"]) {
    await operator.call("agent.add", { name })
    credentials.set(name, (await operator.call("credential.issue", { agent: name })).credential)
  }
  const as = (name: string): ReturnType<typeof httpClient> => httpClient({ url, credential: credentials.get(name) as string })
  for (let at = 0; at < leases; at += 1) await as("heron").call("files.reserve", { globs: [`held/${at}/**`, `**/held-${at}.*`] })
  await operator.call("task.add", { id: "work", title: "Work" })
  await as("goose").call("task.claim", { task: "work" })
  const tokenFile = join(directory, "goose.credential")
  writeFileSync(tokenFile, `${credentials.get("goose")}\n`, { mode: 0o600 })
  const kinds: readonly Kind[] = ["plain", "shHook", "nodeHook", "guardNoHub", "guard"]
  const folders = new Map<Kind, string>()
  for (const kind of kinds) folders.set(kind, await repository(join(directory, kind), kind, files, hub.address.directory))
  const taken = Object.fromEntries(kinds.map((kind) => [kind, []])) as unknown as Record<Kind, number[]>
  const nodes: number[] = []
  for (let at = -warmRounds; at < rounds; at += 1) {
    for (const kind of kinds) {
      const cwd = folders.get(kind) as string
      writeFileSync(join(cwd, "free", "0.txt"), `round ${at}\n`)
      const { SKEIN_TOKEN_FILE: _, ...env } = process.env
      const startMs = performance.now()
      const { status, stderr } = spawnSync("git", ["commit", "-q", "-am", "x"], { cwd, env: { ...env, SKEIN_TOKEN_FILE: tokenFile }, encoding: "utf8" })
      if (at >= 0) taken[kind].push(performance.now() - startMs)
      if (status !== 0 || (kind !== "guardNoHub" && stderr !== "")) throw new Error(`git commit, ${kind}: ${status} ${stderr}`)
    }
    const startMs = performance.now()
    spawnSync(process.execPath, ["-e", "0"])
    if (at >= 0) nodes.push(performance.now() - startMs)
  }
  const refused = refusal(folders.get("guard") as string, tokenFile)
  await hub.stop()
  const plainMs = median(taken.plain)
  const timing = (samples: readonly number[]): Timing => ({
    p50Ms: round(median(samples)),
    p90Ms: round(percentile(samples, 0.9)),
    moreThanPlainMs: round(median(samples) - plainMs),
  })
  const timings = Object.fromEntries(kinds.map((kind) => [kind, timing(taken[kind])])) as Record<Kind, Timing>
  const more = timings.guard.moreThanPlainMs
  return {
    files,
    leases,
    timings,
    nodeStartMs: round(median(nodes)),
    guardVsNodeHook: round(timings.guard.p50Ms / timings.nodeHook.p50Ms),
    gate: { guardMoreMs: { value: more, limit: 100, ok: more < 100 }, refusesHeld: { value: refused ? 1 : 0, limit: 1, ok: refused } },
  }
}

async function repository(cwd: string, kind: Kind, files: number, instance: string): Promise<string> {
  const git = (...args: string[]): unknown => execFileSync("git", args, { cwd })
  mkdirSync(join(cwd, "free"), { recursive: true })
  git("init", "-q", "-b", "main")
  git("config", "user.name", "B")
  git("config", "user.email", "b@example.org")
  for (let at = 0; at < files; at += 1) writeFileSync(join(cwd, "free", `${at}.txt`), `${at}\n`)
  git("add", ".")
  git("commit", "-q", "-m", "begin")
  if (kind === "shHook") hook(cwd, ".git/hooks", "pre-commit", "#!/bin/sh\nexit 0\n")
  if (kind === "nodeHook") {
    hook(cwd, ".husky/_", "pre-commit", `#!/bin/sh\nsh -e "$(dirname "$0")/../pre-commit" "$@"\n`)
    hook(cwd, ".husky", "pre-commit", `'${process.execPath}' .husky/check.cjs\n`)
    hook(cwd, ".husky", "check.cjs", NODE_HOOK)
    git("config", "core.hooksPath", ".husky/_")
  }
  if (kind === "guard" || kind === "guardNoHub") {
    const found = await findRepository(cwd)
    await installGuard({ repository: found, node: process.execPath, launcher: LAUNCHER })
    if (kind === "guard") copyFileSync(join(instance, "hub.json"), join(found.instanceDir, "hub.json"))
  }
  return cwd
}

function hook(cwd: string, folder: string, name: string, text: string): void {
  mkdirSync(join(cwd, folder), { recursive: true })
  writeFileSync(join(cwd, folder, name), text)
  chmodSync(join(cwd, folder, name), 0o755)
}

/** What was timed guards: a commit on a held file does not pass. */
function refusal(cwd: string, tokenFile: string): boolean {
  mkdirSync(join(cwd, "held", "1"), { recursive: true })
  writeFileSync(join(cwd, "held", "1", "x.txt"), "x\n")
  execFileSync("git", ["add", "."], { cwd })
  const { status, stderr } = spawnSync("git", ["commit", "-qm", "x"], { cwd, env: { ...process.env, SKEIN_TOKEN_FILE: tokenFile }, encoding: "utf8" })
  return status !== 0 && stderr.includes("held by heron")
}

export function describeGuard({ files, leases, timings, nodeStartMs, guardVsNodeHook, gate }: GuardReport): string {
  const names: Record<Kind, string> = {
    plain: "no hooks",
    shHook: "a hook in sh",
    nodeHook: "husky, and a hook in Node",
    guardNoHub: "guarded, no hub runs",
    guard: "guarded",
  }
  const rows = (Object.keys(names) as Kind[]).map((kind) => {
    const { p50Ms, p90Ms, moreThanPlainMs } = timings[kind]
    return [names[kind], show(p50Ms), show(p90Ms), show(moreThanPlainMs)]
  })
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, show(value), show(limit), ok === true ? "holds" : "FAILS"])
  return [
    `git commit of one file of ${files}, ${leases} leases; a start of Node takes ${show(nodeStartMs)} ms`,
    table(["", "p50", "p90 ms", "more than without"], rows),
    `guarded against a hook in Node: ${show(guardVsNodeHook)}`,
    table(["gate", "value", "limit", ""], verdicts),
  ].join("\n\n")
}
