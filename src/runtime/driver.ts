import { isOneLine } from "../core/one-line.ts"
import type { Environment } from "./environment.ts"
import type { AgentPreset } from "./presets/preset.ts"
import type { QuotaNotice } from "./quota-notice.ts"

/** The way by which text reaches an agent. */
export type Channel = "native" | "acp" | "tmux" | "process"

/** Why a driver could not do what it was asked for: a part of the reason codes of a trigger's attempts. */
export type DriverReason =
  | "TARGET_NOT_FOUND"
  | "PANE_DEAD"
  | "SEND_KEYS_ERROR"
  | "OPERATOR_BUSY"
  | "MENU_OPEN"
  | "DRAFT_PRESENT"
  | "COPY_MODE"
  | "QUOTA_EXHAUSTED"
  | "RESUME_FAILED"
  | "SPAWN_FAILED"
  | "REGISTRY_DRIFT"

/** `quota`: what the agent said, with QUOTA_EXHAUSTED. `lacking`: something is not there that a person has to bring, with SPAWN_FAILED. */
export type Refused = { ok: false; code: DriverReason; detail: string; quota?: QuotaNotice; lacking?: true }

/** An agent to be started. Secrets belong into a file that `env` names, never into `args`: arguments can be read by everybody on the machine. */
export type Launch = {
  /** The agent's name in Skein; also the name of its window. */
  agent: string
  preset: AgentPreset
  /** The program, where it is not the first word of the preset's command line on the path. */
  binary?: string
  /** Further arguments behind those of the preset. */
  args?: readonly string[]
  cwd: string
  /** What it sees besides `PATH`, `HOME`, `LANG`, `TERM` and `TMPDIR`. */
  env: Environment
  /** The agent's own id of the conversation that it is to go on with. */
  resumeId: string | null
  /** What it is given first; null waits for a delivery. */
  prompt: string | null
}

/**
 * Where a started agent is: plain JSON, to be kept in a file, so that a later process finds its own agents again. `agent` is the name it was started under,
 * `session` the agent's own id of its conversation as far as it is known.
 */
export type Address =
  | { channel: "tmux"; agent: string; preset: string; session: string | null; socket: string; pane: string; pid: number }
  | { channel: "process" | "acp"; agent: string; preset: string; session: string | null; pid: number }

export function samePlace(a: Address, b: Address | null): boolean {
  if (b === null || a.channel !== b.channel) return false
  if (a.channel === "tmux" && b.channel === "tmux") return a.pane === b.pane && a.pid === b.pid && a.socket === b.socket
  return "pid" in a && "pid" in b && a.pid === b.pid
}

export type Started = { ok: true; address: Address } | Refused

export type Delivery = {
  text: string
  /** Stands in `text` and nowhere else: by it a text that is already there is recognised, and not typed twice. Null: no look for it. */
  nonce: string | null
  /** `nudge`: at most 700 characters and 3 lines. `body`: at most 16 KiB of UTF-8, for agents that have neither MCP nor hooks. */
  form: "nudge" | "body"
  /** Milliseconds without input of a person before anything is typed; 0 types over them (the operator forced it). */
  quietMs: number
  /** The notice for which its account was paused before, as it was said. That pause is over: the same words on its screen are an old notice. */
  quotaSaid?: string | null
  /** Whether the hub has seen evidence of the arrival meanwhile: then Enter is not repeated. */
  acknowledged(): boolean
}

/**
 * `ok` says that the text was handed over, not that it arrived: that only the hub can see. `handed` is false where it was found to be there already.
 * A refusal leaves nothing behind that would be sent later, but where `detail` says so.
 */
export type Delivered = { ok: true; channel: Channel; handed: boolean; detail: string } | Refused

/** `untold`: it was to be told something first, and has not been. */
export type Alive = { alive: true; untold?: boolean } | { alive: false; detail: string; exit: number | null }

/** Text that an agent was asked to bring, told to whoever drives it. */
export type DriverEvents = {
  /** Its own id of the conversation became known, or another one. */
  session?(agent: string, session: string): void
  /** It ended, by itself or not. */
  ended?(agent: string, exit: number | null, detail: string): void
  turn?(agent: string, state: "started" | "ended"): void
  /** In a turn that was under way it said that its account is used up. */
  exhausted?(agent: string, quota: QuotaNotice): void
}

/**
 * One way to run agents and to reach them. An implementation holds what it must (a connection, children); what an agent is found by is its address alone.
 * No method throws for what an agent or a terminal does: that is an answer. They throw `RangeError` for a call that makes no sense (a foreign address).
 */
export type Driver = {
  readonly channel: Channel
  start(launch: Launch): Promise<Started>
  deliver(address: Address, delivery: Delivery): Promise<Delivered>
  alive(address: Address): Promise<Alive>
  /** When a person last typed to it, in milliseconds since 1970; null: never, as far as is known. */
  lastHumanInputAtMs(address: Address): Promise<number | null>
  /** Ends the turn that it is in, not the agent. */
  interrupt(address: Address): Promise<void>
  /** Ends the agent and all that it started: SIGTERM, after `graceMs` (5,000 unless told) SIGKILL. Quiet where it is gone already. */
  stop(address: Address, options?: { graceMs?: number }): Promise<void>
  /** What it shows, or showed last: at most `lines` (50 unless told), control characters taken out. */
  capture(address: Address, options?: { lines?: number }): Promise<string>
  /**
   * The agents that are in the same place (terminals of the same instance), whoever started them, those too that have ended and were not stopped: for a
   * supervisor that comes back. Whether one lives, `alive` says.
   */
  running(): Promise<Address[]>
  /** Lets go of what the driver itself holds. Agents in terminals live on; children of this process are stopped. */
  close(): Promise<void>
}

const CONVERSATION_MAX = 200

/** Whether it can be a conversation's id, as the hub takes it: one line. It goes into files, and to terminals. */
export function isConversation(id: unknown): id is string {
  return typeof id === "string" && id !== "" && id.length <= CONVERSATION_MAX && isOneLine(id)
}

export function refused(code: DriverReason, detail: string): Refused {
  return { ok: false, code, detail }
}

/** The refusal of a start for which something is missing here: a program, a folder, a way of being run. */
export function lacking(detail: string): Refused {
  return { ...refused("SPAWN_FAILED", detail), lacking: true }
}

/** The refusal of an agent whose account is used up. */
export function outOfQuota(quota: QuotaNotice): Refused {
  return { ok: false, code: "QUOTA_EXHAUSTED", detail: `its account is used up: ${quota.said}`, quota }
}
