import { accessSync, constants, existsSync, type StatsFs, statfsSync, statSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import type { OutsideCheckpoint } from "../ledger/audit.ts"
import { gitDone, RepositoryError } from "../repo/git.ts"
import { act, examples, type Context } from "./context.ts"
import { conflictText, foreseenAtWork } from "./files-foreseen.ts"
import { isHealthy } from "./hub-start.ts"
import { closedTo, isAlive, readHubFile, type HubFile, type Instance } from "./instance.ts"
import { ledgersIn } from "./ledger-folder.ts"
import { auditLedger, ledgerFile, lostLedger, openLedgerFile, ownCheckpoints } from "./ledger-source.ts"
import { printable } from "./printable.ts"
import { showDuration, showSkills } from "./quantity.ts"
import { auditText } from "./run-report.ts"
import type { Terminal } from "./terminal.ts"
import { wrap } from "./text-width.ts"
import { version } from "./version.ts"

/** One thing looked at: how it is, and what to do where it is not well. */
type Finding = { level: "ok" | "warning" | "problem"; about: string; text: string; remedy: string | null }

const PRIVATE = ["operator.credential", "keys", "ledger", "agents", "hub.json"]
/** Alerts of the hub that may pass by themselves. */
const WARNINGS: ReadonlySet<string> = new Set(["lost_agent", "stale_task", "deferred_wake", "no_supervisor", "permission_waits", "policy_denied"])
/** Before what a finding says. */
const INDENT = " ".repeat(9)
const DISK_LOW_BYTES = 200 * 1024 * 1024
/** Files that may yet be made: a start takes some ten, a checkpoint one. */
const FILES_LOW = 100

/** `skein doctor`: what is wrong, and what to do about it. */
export function register(program: Command): void {
  program
    .command("doctor")
    .description(
      "Look for stale owners, leases without a session, unreachable tasks, and trouble with hub, ledger, permissions, disk, git or Node; say what to do about each. Exit status 1 when there is a problem.",
    )
    .option("--quick", "leave the ledger's audit out")
    .addHelpText(
      "after",
      examples(["skein doctor", "when something seems wrong"], ["skein doctor --json | jq 'select(.level == \"problem\")'", "for programs"]),
    )
    .action(act(examine))
}

async function examine(context: Context, { quick = false }: { quick?: boolean }): Promise<void> {
  const { terminal } = context
  const instance = context.instance()
  const tell = (finding: Finding): void => {
    terminal.record(finding)
    terminal.print(findingText(terminal, finding))
    if (finding.level === "problem") process.exitCode = 1
  }
  tell(nodeFinding())
  if (context.options.global !== true) tell(await gitFinding())
  for (const finding of await instanceFindings(context, instance, quick)) tell(finding)
}

/** A remedy stays whole, however wide the terminal is: commands are copied from it. */
export function findingText({ colours: { green, yellow, red, dim }, isLive, columns }: Terminal, { level, about, text, remedy }: Finding): string {
  const mark = { ok: green("ok     "), warning: yellow("warning"), problem: red("problem") }[level]
  const said = printable(`${about}: ${text}`)
  const lines = isLive ? wrap(said, columns - INDENT.length) : [said]
  return `${mark}  ${[...lines, ...(remedy === null ? [] : [dim(printable(remedy))])].join(`\n${INDENT}`)}`
}

async function instanceFindings(context: Context, instance: Instance, quick: boolean): Promise<Finding[]> {
  const closed = closedTo(instance)
  if (closed !== null) return [{ level: "problem", about: "instance", text: closed.message, remedy: closed.remedy }]
  const file = readHubFile(instance)
  const findings = [...permissionFindings(instance), diskFinding(instance), await hubFinding(instance, file)]
  for (const { message, remedy } of (await ledgersIn(instance)).strays) findings.push({ level: "problem", about: "ledger", text: message, remedy })
  const { outside, unreadable } = await ownCheckpoints(instance, context.workspace)
  // One that is gone was told above.
  if (!quick && lostLedger(instance, context.workspace) === null) findings.push(await ledgerFinding(context, instance, outside))
  if (unreadable !== null) findings.push({ level: "problem", about: "checkpoint", text: unreadable.message, remedy: unreadable.remedy })
  if (file === null || !isAlive(file.pid) || !(await isHealthy(file.url))) return findings
  try {
    return [...findings, ...(await workFindings(context))]
  } catch (error) {
    // Such as a credential that is gone: what was found so far is told all the same.
    if (!(error instanceof SkeinError)) throw error
    return [...findings, { level: "problem", about: "work", text: error.message, remedy: error.remedy }]
  }
}

function nodeFinding(): Finding {
  const { node } = process.versions
  const [major = 0, minor = 0] = node.split(".").map(Number)
  const good = major > 22 || (major === 22 && minor >= 18)
  return { level: good ? "ok" : "problem", about: "node", text: node, remedy: good ? null : "Skein needs Node 22.18 or newer." }
}

async function gitFinding(): Promise<Finding> {
  try {
    const said = await gitDone(process.cwd(), ["--version"])
    const [, number = "", major = "0", minor = "0"] = /((\d+)\.(\d+)[\d.]*)/.exec(said) ?? []
    const good = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 36)
    return { level: good ? "ok" : "problem", about: "git", text: number || said.trim(), remedy: good ? null : "Skein needs git 2.36 or newer." }
  } catch (error) {
    if (!(error instanceof RepositoryError)) throw error
    return { level: "problem", about: "git", text: error.message, remedy: error.remedy }
  }
}

function permissionFindings({ directory }: Instance): Finding[] {
  if (!existsSync(directory)) return [{ level: "ok", about: "instance", text: `${directory} is not there yet`, remedy: "skein up makes it." }]
  if (!statSync(directory).isDirectory())
    return [{ level: "problem", about: "instance", text: `${directory} is no folder`, remedy: "Move it away: skein up makes a folder of that name." }]
  const findings: Finding[] = []
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    findings.push({
      level: "problem",
      about: "instance",
      text: `${directory} cannot be written`,
      remedy: `Make it yours: chown -R "$USER" ${JSON.stringify(directory)}`,
    })
  }
  for (const name of PRIVATE) {
    const path = join(directory, name)
    const mode = statSync(path, { throwIfNoEntry: false })?.mode
    if (mode !== undefined && (mode & 0o077) !== 0)
      findings.push({
        level: "problem",
        about: "permissions",
        text: `${path} can be read by others`,
        remedy: `Close it: chmod go= ${JSON.stringify(path)}; then have new credentials made, since these may be known.`,
      })
  }
  if (!existsSync(join(directory, ".gitignore")))
    findings.push({
      level: "warning",
      about: "instance",
      text: `${directory} has no .gitignore`,
      remedy: `Keys must not be committed: echo '*' > ${JSON.stringify(join(directory, ".gitignore"))}`,
    })
  return findings.length > 0 ? findings : [{ level: "ok", about: "instance", text: directory, remedy: null }]
}

function diskFinding({ directory }: Instance): Finding {
  return diskOf(statfsSync(existsSync(directory) ? directory : process.cwd()))
}

/** What a file system says of its room. Some have no fixed number of files, and say 0 of 0. */
export function diskOf({ bavail, bsize, files, ffree }: Pick<StatsFs, "bavail" | "bsize" | "files" | "ffree">): Finding {
  const free = bavail * bsize
  const noFile = files > 0 && ffree < FILES_LOW
  const low = free < DISK_LOW_BYTES || noFile
  return {
    level: low ? "problem" : "ok",
    about: "disk",
    text: `${Math.round(free / 1024 / 1024)} MiB free${noFile ? `, and room for ${ffree} files more` : ""}`,
    remedy: low ? "A full disk refuses every write: make room." : null,
  }
}

async function hubFinding({ directory }: Instance, file: HubFile | null): Promise<Finding> {
  if (file === null) return { level: "warning", about: "hub", text: "none is running", remedy: "Start it: skein up" }
  if (!isAlive(file.pid))
    return {
      level: "problem",
      about: "hub",
      text: `process ${file.pid} died without tidying up`,
      remedy: `Nothing acknowledged is lost: start it again (skein up), and see ${join(directory, "logs", "hub.log")} for why.`,
    }
  if (!(await isHealthy(file.url)))
    return {
      level: "problem",
      about: "hub",
      text: `process ${file.pid} does not answer at ${file.url}`,
      remedy: "If it is the hub and hangs, end it (kill) and start it again: skein up",
    }
  const text = `process ${file.pid} answers at ${file.url}`
  return file.version === version
    ? { level: "ok", about: "hub", text, remedy: null }
    : { level: "warning", about: "hub", text: `${text}, of Skein ${file.version}; this is ${version}`, remedy: "Start it anew: skein down && skein up" }
}

async function ledgerFinding(context: Context, instance: Instance, outside: readonly OutsideCheckpoint[]): Promise<Finding> {
  const path = ledgerFile(instance, context.workspace)
  if (!existsSync(path)) return { level: "ok", about: "ledger", text: "there is none yet", remedy: null }
  try {
    const source = await openLedgerFile(path)
    try {
      const audit = await auditLedger(source, outside)
      const good = audit.verified.ok && audit.replayed?.mismatch === null
      return {
        level: good ? "ok" : "problem",
        about: "ledger",
        text: auditText(audit),
        remedy: good ? null : "Keep the file as it is, and restore a backup: skein ledger verify says more.",
      }
    } finally {
      await source.close()
    }
  } catch (error) {
    const { message, remedy } = error as Error & { remedy?: string }
    return { level: "problem", about: "ledger", text: message, remedy: remedy ?? "Keep the file as it is, and restore a backup." }
  }
}

/** What the hub itself finds wrong with the work, and what only shows when tasks and agents are held against each other. */
async function workFindings(context: Context): Promise<Finding[]> {
  const hub = await context.hub()
  const [{ alerts, agents, nowMs }, ready] = await Promise.all([hub.call("hub.status", {}), hub.call("task.list", { state: ["ready"], limit: 1_000 })])
  const findings: Finding[] = alerts.map(({ kind, text, remedy }) => ({
    level: WARNINGS.has(kind) ? "warning" : "problem",
    about: kind.replaceAll("_", " "),
    text,
    remedy,
  }))
  const { agents: profiles } = await hub.call("agent.list", { limit: 1_000 })
  const { meets } = await import("../core/ready.ts")
  const present = profiles.filter(({ status }) => status === "present")
  // What asks for nothing fits whoever comes.
  const orphans = ready.tasks.filter(({ requires }) => Object.keys(requires).length > 0 && !present.some((agent) => meets(agent, requires)))
  for (const { id, requires } of orphans.slice(0, 20)) {
    findings.push({
      level: "problem",
      about: "nobody fits",
      text: `${id} is ready and requires ${showSkills(requires)}, which no agent has`,
      remedy: `Give it to one: skein agent edit NAME --capability … --reason …, or ask for less: skein task edit ${id} --requires … --reason …`,
    })
  }
  const held = await hub.call("task.list", { state: ["claimed", "in_progress", "blocked"], limit: 1_000 })
  const away = new Set(agents.filter(({ presence }) => presence === "offline" || presence === "lost").map(({ name }) => name))
  for (const { id, owner, session, leaseEndsAtMs } of held.tasks) {
    if (owner === null || session !== null || !away.has(owner) || leaseEndsAtMs === null) continue
    findings.push({
      level: "warning",
      about: "no session",
      text: `${id} is held by ${owner} without a session, for ${showDuration(Math.max(0, Math.round((leaseEndsAtMs - nowMs) / 1_000) * 1_000))} more`,
      remedy: `Wait for its lease to end, or end it: skein lease end ${id} --reason …`,
    })
  }
  const atWork = agents.flatMap(({ name, tasks }) => (tasks.length > 0 ? [name] : []))
  for (const { a, b, files } of await foreseenAtWork(context, atWork)) {
    const text = conflictText({ a: a.name, b: b.name, files })
    findings.push({ level: "warning", about: "conflict ahead", text, remedy: "Have them agree who goes first, or reserve the files: skein files reserve" })
  }
  return findings.length > 0
    ? findings
    : [{ level: "ok", about: "work", text: "no stale owner, no lease without a session, no unreachable task", remedy: null }]
}
