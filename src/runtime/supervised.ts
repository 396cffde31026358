import * as z from "zod"
import { sessionId } from "../contract/schema.ts"
import type { Address } from "./driver.ts"

/** How an agent is run: in a terminal that people can look into, over the Agent Client Protocol, or headless, a process for each turn. */
export const RUN_BY = ["tmux", "acp", "process"] as const
export type RunBy = (typeof RUN_BY)[number]

/** Characters of an argument, a path or a variable of an agent's. */
export const WORD_MAX = 4_096
const text = z.string().max(WORD_MAX)
const agentName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)

/** What is wanted of one agent: written by people's commands, read by the supervisor. */
const wanted = z.strictObject({
  agent: agentName,
  /** Name of a preset: an agent kind, or one of the instance's settings. */
  preset: text,
  by: z.enum(RUN_BY),
  /** Null: the first word of the preset's command line, on the path. */
  binary: text.nullable(),
  args: z.array(text),
  cwd: text,
  env: z.record(z.string(), text),
  /** Names of variables that it sees as the supervisor has them: secrets stay out of this file. */
  passEnv: z.array(z.string()),
  credentialFile: text,
  /** What it is told at each fresh start; null: nothing, it waits to be woken. */
  prompt: z.string().max(16_384).nullable(),
  /** `paused`: it goes on as it is, but is neither woken nor started again. */
  want: z.enum(["running", "paused", "stopped"]),
  reason: z.string().max(1_000),
  /** Each command writes a greater one: what was given up is then tried anew. */
  revision: z.int().min(1),
})
export type Wanted = z.infer<typeof wanted>

/** Checked in full: a pane's id goes into conditions of tmux, and the process is signalled. */
const anywhere = { agent: agentName, preset: text, session: text.nullable(), pid: z.int().min(0) }
const address: z.ZodType<Address> = z.discriminatedUnion("channel", [
  z.object({ channel: z.literal("tmux"), ...anywhere, socket: text, pane: z.string().regex(/^%\d+$/) }),
  z.object({ channel: z.enum(["process", "acp"]), ...anywhere }),
])

/** How one agent runs: written by its supervisor alone, so that the next one finds it again. */
const running = z.strictObject({
  agent: agentName,
  /** `starting`: a process may have been begun of which nobody knows the address yet. `ended`: it ended by itself, and is started when it is woken. */
  state: z.enum(["idle", "starting", "running", "waiting", "ended", "given_up", "stopped", "paused"]),
  /** In another state than `running` it is over there, and its place is still to be cleared. */
  address: address.nullable(),
  /** Its session with the hub, which the supervisor beats for. */
  session: sessionId.nullable(),
  /** The agent's own id of its conversation, to resume it by. */
  conversation: z.string().nullable(),
  /** Its own server, where it was started with one. */
  server: z.strictObject({ port: z.int(), password: z.string() }).nullable().default(null),
  startedAtMs: z.number().nullable(),
  starts: z.int(),
  /** When it went down without being asked to, the newest last. */
  crashes: z.array(z.number()),
  /** Not started again before. */
  notBeforeMs: z.number(),
  detail: z.string(),
  /** When a person last typed to it, and up to when the orchestrator was told. */
  personAtMs: z.number().nullable(),
  toldAtMs: z.number().nullable(),
  /** Of `Wanted`, when it was last minded. */
  revision: z.int(),
})
export type Running = z.infer<typeof running>

export function newRunning(agent: string): Running {
  return {
    agent,
    state: "idle",
    address: null,
    session: null,
    conversation: null,
    server: null,
    startedAtMs: null,
    starts: 0,
    crashes: [],
    notBeforeMs: 0,
    detail: "",
    personAtMs: null,
    toldAtMs: null,
    revision: 0,
  }
}

/** The record in a file's text; null where it is none: a file that was damaged counts as not there. */
export const parseWanted = (from: string): Wanted | null => parsed(wanted, from)
export const parseRunning = (from: string): Running | null => parsed(running, from)

function parsed<Out>(schema: z.ZodType<Out>, from: string): Out | null {
  try {
    const read = schema.safeParse(JSON.parse(from))
    return read.success ? read.data : null
  } catch {
    return null
  }
}
