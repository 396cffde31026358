import { hash } from "node:crypto"
import { join } from "node:path"
import type { Command } from "commander"
import { type HttpClient, httpClient } from "../client/http.ts"
import { SkeinError } from "../contract/errors.ts"
import { AGENT_KINDS, type AgentKind, isAgentKind } from "../repo/agent-kinds.ts"
import { type HookAnswer, writeAnswer } from "../runtime/hook-answer.ts"
import { type HookCall, momentOf, readCall } from "../runtime/hook-call.ts"
import { noteConversation } from "../runtime/hook-conversation.ts"
import { HookMarkFile } from "../runtime/hook-mark.ts"
import { repositoryPaths } from "../runtime/hook-paths.ts"
import { answerTurn, type HookHub } from "../runtime/hook-turn.ts"
import { processRow } from "../runtime/process-table.ts"
import { agentIdentity } from "./agent-identity.ts"
import { requiresClaim } from "./claim-rule.ts"
import { examples, type GlobalOptions } from "./context.ts"
import { findInstance, type Instance, readHubFile } from "./instance.ts"
import { printable } from "./printable.ts"

/** An agent waits for its hooks: a hub that takes longer is as good as away. */
const HUB_PATIENCE_MS = 1_000
/** A waiter has time; the hub answers it after half a minute at the latest. */
const WAIT_PATIENCE_MS = 60_000
const INPUT_MAX_BYTES = 64 * 1024 * 1024
/** An agent that keeps its end open: how long the next piece of its event is waited for, and how long after one that makes it whole. */
const INPUT_PATIENCE_MS = 2_000
const INPUT_WHOLE_MS = 50

type HookOptions = GlobalOptions & { agent?: string; usage?: boolean }

/** `skein hook`: called by an agent at its events, never by people. */
export function register(program: Command): void {
  program
    .command("hook [agent] [event]")
    .description(
      "Answer a hook of a coding agent: refuse an edit of a file that another agent holds, bring unread messages, count what it used. The agent calls it, with its event on standard input; `skein init` sets that up.",
    )
    .option("--agent <name>", "the agent in Skein that it acts for (default: the kind's name)")
    .option("--no-usage", "do not report what the agent used: it comes another way")
    .addHelpText(
      "after",
      examples(["skein hook claude PreToolUse < event.json", "prints the answer in the agent's dialect, or nothing: then the agent works on"]),
    )
    .action(async (kind: string | undefined, event: string | undefined, _options: object, command: Command) => {
      // For Claude Code exit status 2 refuses the edit: whatever goes wrong here must not.
      try {
        const options = command.optsWithGlobals<HookOptions>()
        if (kind === "claude" && event === "rewake") {
          const text = await waitForNews(options)
          // Status 2 of this one wakes an idle Claude Code with what stands on standard error.
          if (text !== null) process.stderr.write(`${text}\n`)
          process.exitCode = text === null ? 0 : 2
          return
        }
        await answerHook(kind, event, options)
      } catch (error) {
        say(error instanceof Error ? error.message : String(error))
      }
      process.exitCode = 0
    })
}

async function answerHook(kind: string | undefined, event: string | undefined, options: HookOptions): Promise<void> {
  if (kind === undefined || event === undefined || !isAgentKind(kind))
    return say(`skein hook AGENT EVENT, with AGENT one of ${AGENT_KINDS.join(", ")}: the agent calls it, as skein init sets it up`)
  if (momentOf(kind, event) === null) return say(`${kind} has no event ${JSON.stringify(event)} that Skein answers`)
  const call = readCall(kind, event, await standardInput(), process.cwd())
  if (call === null) return say("what came on standard input is no JSON object: the agent works on unhindered")
  const answer = await answerCall(kind, call, options)
  process.stdout.write(writeAnswer(call, answer))
}

async function answerCall(kind: AgentKind, call: HookCall, options: HookOptions): Promise<HookAnswer> {
  const instance = instanceOf(options.repo ?? call.cwd, options)
  // Not in a repository: an agent that is set up for all of its user's work is none of ours elsewhere.
  if (instance === null) return {}
  const identity = agentIdentity({ instance, env: process.env, fallback: options.agent ?? kind, cwd: call.cwd })
  if (identity === null) return {}
  const paths = repositoryPaths(call.paths, call.cwd, (top) => instanceOf(top, options)?.directory === instance.directory)
  if (call.moment === "before" && paths.length === 0) return {}
  const marks = join(instance.directory, "hook-marks")
  const mark = new HookMarkFile(marks, identity.agent, call.session)
  const notes = (call.moment === "start" || call.moment === "prompt") && nonEmpty(process.env["SKEIN_AGENT"]) === identity.agent
  const hub = connect(identity.file, instance, options)
  try {
    if (hub === null) throw new SkeinError("hub_unreachable", "no hub is running", "Start it: skein up")
    const beat = heartbeat(hub)
    const answer = await answerTurn({
      call,
      hub: bind(hub),
      mark,
      agent: identity.agent,
      paths,
      requireClaim: call.moment === "before" && (await requiresClaim(instance.directory, say)),
      nowMs: Date.now(),
      usageElsewhere: options.usage === false || process.env["SKEIN_HOOK_USAGE"] === "no" || telemetryComes(kind),
    })
    await beat
    try {
      if (notes && call.session !== null) noteConversation(marks, identity.agent, call.session)
    } catch (error) {
      return { ...answer, ...warnOnce(mark, error) }
    }
    return answer
  } catch (error) {
    return warnOnce(mark, error)
  } finally {
    hub?.close()
  }
}

/** `skein hook claude rewake`: waits beside an idle agent until there are messages for it. Null: it is no longer wanted. */
async function waitForNews(options: HookOptions): Promise<string | null> {
  const call = readCall("claude", "Stop", await standardInput(), process.cwd())
  if (endsWithItsTurn()) return null
  const instance = call === null ? null : instanceOf(options.repo ?? call.cwd, options)
  if (call === null || instance === null) return null
  const identity = agentIdentity({ instance, env: process.env, fallback: options.agent ?? "claude", cwd: call.cwd })
  if (identity === null) return null
  const folder = join(instance.directory, "hook-marks")
  const living = await parents()
  // Hooks before an edit wait for nothing, and are started far more often.
  const { RewakeWaiter, waitToRewake } = await import("../runtime/hook-rewake.ts")
  return waitToRewake({
    agent: identity.agent,
    mark: new HookMarkFile(folder, identity.agent, call.session),
    waiter: new RewakeWaiter(folder, identity.agent, call.session),
    wanted: () => process.ppid === living[0] && living.every(lives),
    async withHub(use) {
      const hub = connect(identity.file, instance, options, WAIT_PATIENCE_MS)
      if (hub === null) throw new SkeinError("hub_unreachable", "no hub is running", "Start it: skein up")
      try {
        return await use({ ...bind(hub), wait: (waitMs) => hub.call("work.wait", { waitMs }) })
      } finally {
        hub.close()
      }
    },
  })
}

/** `claude -p` is never idle: a hook that waits would only hold up its end, for half a minute, when it cuts the hook off. Its other hooks bring messages. */
const endsWithItsTurn = (): boolean => process.env["CLAUDE_CODE_ENTRYPOINT"] === "sdk-cli"

/** Who started this process, and who started that one: a shell between it and its agent may outlive the agent. */
async function parents(): Promise<number[]> {
  const above = (await processRow(process.ppid))?.parent ?? 0
  return above > 1 ? [process.ppid, above] : [process.ppid]
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The agent works on without the hub; the person at its terminal is told, once a conversation. */
function warnOnce(file: HookMarkFile, error: unknown): HookAnswer {
  const mark = file.read()
  if (mark.warned) return {}
  try {
    file.write({ ...mark, warned: true })
  } catch {
    // Then it is told again.
  }
  const why = error instanceof Error ? error.message : String(error)
  const { remedy, code } = error instanceof SkeinError ? error : { remedy: "", code: "" }
  const lost = code === "storage_refused" ? "" : "nobody checks meanwhile who holds a file, and "
  const warning = `Skein: ${printable(why)}. The agent works on: ${lost}no messages come.${remedy === "" ? "" : ` ${printable(remedy)}`}`
  say(warning)
  return { warning }
}

function instanceOf(folder: string, { global }: GlobalOptions): Instance | null {
  try {
    return findInstance(folder, global === true)
  } catch {
    return null
  }
}

function connect(credentialFile: string, instance: Instance, options: GlobalOptions, timeoutMs = HUB_PATIENCE_MS): HttpClient | null {
  const url = options.url ?? nonEmpty(process.env["SKEIN_URL"]) ?? readHubFile(instance)?.url
  if (url === undefined) return null
  const workspace = options.workspace ?? nonEmpty(process.env["SKEIN_WORKSPACE"])
  const session = nonEmpty(process.env["SKEIN_SESSION"])
  const where = { ...(workspace === undefined ? {} : { workspace }), ...(session === undefined ? {} : { session }) }
  return httpClient({ url, credentialFile, timeoutMs, ...where })
}

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

/** A session that has no shim of its own (`SKEIN_SESSION`) lives by what its agent does. */
async function heartbeat(hub: HttpClient): Promise<void> {
  const session = nonEmpty(process.env["SKEIN_SESSION"])
  if (session === undefined) return
  try {
    await hub.call("session.beat", { sessions: [session] })
  } catch {
    // Whatever keeps the hub from hearing it is told with the call itself.
  }
}

function bind(hub: HttpClient): HookHub {
  return {
    check: (paths) => hub.call("files.check", { paths: [...paths] }),
    unread: () => hub.call("message.unread", { limit: 20 }),
    read: async (thread, sinceSeq) => (await hub.call("message.read", { thread, sinceSeq, limit: 20 })).messages,
    acknowledge: async (thread, lastReadSeq) => void (await hub.call("message.ack", { thread, lastReadSeq })),
    turn: async (state, nonce, conversation) => void (await hub.call("session.turn", { state, nonce, conversation })),
    turnsMax: async () => (await hub.call("wake.policy", {})).policy.stopTurns,
    report: async ({ model, ...used }, task, key) =>
      void (await hub.call("usage.report", { ...used, task, model: model === "" ? null : model }, { key: `hook.${hash("sha256", key).slice(0, 40)}` })),
  }
}

/** Claude Code that sends its telemetry to the hub: what it uses is counted there. */
function telemetryComes(kind: AgentKind): boolean {
  const { CLAUDE_CODE_ENABLE_TELEMETRY: enabled, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: logs } = process.env
  return kind === "claude" && enabled === "1" && [endpoint, logs].some((address) => address !== undefined && /\/otlp(\/|$)/.test(address))
}

/** What the agent gives, up to its end or until it is a whole event; what is over 64 MiB is none. */
async function standardInput(): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  let text: string | null = null
  let timer: NodeJS.Timeout | undefined
  const whole = (): string => (text ??= Buffer.concat(chunks).toString("utf8"))
  await new Promise<void>((end) => {
    const wait = (ms: number, then: () => void): void => {
      clearTimeout(timer)
      timer = setTimeout(then, ms)
    }
    const look = (): void => (isJson(whole()) ? end() : wait(INPUT_PATIENCE_MS, end))
    process.stdin.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      text = null
      if (bytes > INPUT_MAX_BYTES) end()
      else wait(INPUT_WHOLE_MS, look)
    })
    process.stdin.on("end", end).on("error", () => end())
    wait(INPUT_PATIENCE_MS, end)
  })
  clearTimeout(timer)
  process.stdin.removeAllListeners("data").destroy()
  return bytes > INPUT_MAX_BYTES ? "" : whole()
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function say(text: string): void {
  process.stderr.write(`skein hook: ${printable(text)}\n`)
}
