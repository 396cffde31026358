import { onOneLine } from "../core/one-line.ts"
import { type Delivered, type Delivery, refused } from "./driver.ts"
import type { Environment } from "./environment.ts"
import { rewakeWaits } from "./hook-rewake.ts"
import { type AgentPreset, commandLine } from "./presets/preset.ts"
import { ProcessError, startProcess } from "./process.ts"
import type { Running, Wanted } from "./supervised.ts"
import { typable } from "./tmux/typable.ts"

/** An agent that runs, whoever started it, as it can be reached without its terminal. */
export type NativeTarget = {
  agent: string
  preset: AgentPreset
  /** The agent's own id of its conversation. */
  session: string | null
  cwd: string
  env: Environment
  binary?: string
  /** Where its own server listens (opencode with `--port`), and the password that it was started with, as `OPENCODE_SERVER_PASSWORD`. */
  url?: string
  password?: string
  /** The folder of the hooks' marks (`hook-marks` of the instance). */
  marks: string
}

/** A supervised agent as it runs now. */
export function nativeTarget(wanted: Wanted, { conversation, server }: Running, preset: AgentPreset, env: Environment, marks: string): NativeTarget {
  const { agent, cwd, binary, args } = wanted
  const port = server?.port ?? (args.indexOf("--port") < 0 ? undefined : args[args.indexOf("--port") + 1])
  const password = env["OPENCODE_SERVER_PASSWORD"]
  return {
    agent,
    preset,
    session: conversation,
    cwd,
    env,
    marks,
    ...(binary === null ? {} : { binary }),
    ...(port === undefined ? {} : { url: `http://127.0.0.1:${port}` }),
    ...(password === undefined ? {} : { password }),
  }
}

/** How long an inbox may take until it has answered. */
export type InboxLimits = { commandMs: number; requestMs: number }
const LIMITS: InboxLimits = { commandMs: 20_000, requestMs: 10_000 }

/**
 * Puts a text before a running agent by its own inbox, which keeps a draft in its terminal and a turn that is under way. `ok` says that the inbox took it.
 * Where the agent's hook waits at the hub itself, nothing is handed over (`handed` false): the message alone wakes it. TARGET_NOT_FOUND: this way leads to no
 * living agent, try the next.
 */
export async function deliverNatively(target: NativeTarget, { text, form }: Pick<Delivery, "text" | "form">, limits = LIMITS): Promise<Delivered> {
  const { native } = target.preset
  if (native === null) return refused("TARGET_NOT_FOUND", `${target.preset.name} has no inbox of its own`)
  if (native.way === "hook") {
    return rewakeWaits(target.marks, target.agent, target.session)
      ? { ok: true, channel: "native", handed: false, detail: "its own hook waits for messages and wakes it" }
      : refused("TARGET_NOT_FOUND", `no hook of ${target.agent} waits for messages`)
  }
  const { session } = target
  if (session === null) return refused("TARGET_NOT_FOUND", `the conversation of ${target.agent} is not known`)
  const prompt = typable(text, form, true)
  if (native.way === "opencode-http") return byHttp(target, session, prompt, limits)
  return byCommand(target, commandLine(native.argv, { session, prompt, cwd: target.cwd }), limits)
}

async function byCommand(target: NativeTarget, [program, ...words]: readonly [string, ...string[]], { commandMs }: InboxLimits): Promise<Delivered> {
  try {
    const { agent, cwd, env } = target
    const child = await startProcess({ name: `inbox of ${agent}`, argv: [target.binary ?? program, ...words], cwd, env: { ...env, PWD: cwd } })
    const timer = setTimeout(() => void child.kill(), commandMs)
    const { code, signal } = await child.exited
    clearTimeout(timer)
    if (code === 0) return { ok: true, channel: "native", handed: true, detail: `${program} took it` }
    const said = onOneLine((child.tail("stderr").trim() || child.tail("stdout").trim()).slice(-300), " ")
    return refused(
      /not found|no rollout|no such|unknown/i.test(said) ? "TARGET_NOT_FOUND" : "SEND_KEYS_ERROR",
      `${program} ended with ${code ?? signal}: ${said}`,
    )
  } catch (error) {
    if (!(error instanceof ProcessError)) throw error
    return refused("TARGET_NOT_FOUND", `${error.message}. ${error.remedy}`)
  }
}

async function byHttp({ url, password, agent }: NativeTarget, session: string, text: string, { requestMs }: InboxLimits): Promise<Delivered> {
  if (url === undefined) return refused("TARGET_NOT_FOUND", `where ${agent} listens is not known: it has to be started with --port`)
  const authorization = password === undefined ? {} : { Authorization: `Basic ${Buffer.from(`opencode:${password}`).toString("base64")}` }
  try {
    const answer = await fetch(new URL(`/session/${encodeURIComponent(session)}/prompt_async`, url), {
      method: "POST",
      headers: { "Content-Type": "application/json", ...authorization },
      body: JSON.stringify({ parts: [{ type: "text", text }] }),
      signal: AbortSignal.timeout(requestMs),
      redirect: "error",
    })
    await answer.body?.cancel()
    if (answer.ok) return { ok: true, channel: "native", handed: true, detail: `its server took it (${answer.status})` }
    return refused(answer.status === 404 ? "TARGET_NOT_FOUND" : "SEND_KEYS_ERROR", `its server answered ${answer.status}`)
  } catch (error) {
    return refused("TARGET_NOT_FOUND", `its server does not answer: ${error instanceof Error ? error.message : String(error)}`)
  }
}
