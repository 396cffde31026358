import { spawnSync } from "node:child_process"
import { expect } from "vitest"
import { hubPid, skein, until } from "./cli-driver.ts"
import { type Heard, kill, leftRunning, newRig, type Rig } from "./supervisor-rig.ts"

export type Chaos = { seed: number; agents: number; messages: number; /** How long things are killed, in ms. */ killMs: number; log(line: string): void }
export type ChaosReport = { messages: number; kills: Record<string, number>; wakes: number; texts: number; starts: number; settleMs: number }

const KINDS = ["supervisor", "hub", "tmux", "pane", "pane", "pane"] as const

/** A small generator of our own (mulberry32), so that a seed gives the same kills on every machine. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * Messages flow among scripted agents while supervisor, hub, terminals and panes are killed at random; what a user would do is done: `skein up --supervise` again.
 * Throws unless every message is read in the end by whom it is for, no trigger took effect twice, and nothing is left running.
 */
export async function wakeChaos({ seed, agents, messages, killMs, log }: Chaos): Promise<ChaosReport> {
  const random = randomFrom(seed)
  const rig = await newRig()
  const names = Array.from({ length: agents }, (_, at) => `reader-${at + 1}`)
  await rig.skein("swarm", "spawn", "--agent", "reader", "--count", String(agents))
  for (const name of names) await rig.hub.call("thread.create", { thread: `to-${name}`, title: "Chaos", participants: [name] })
  const kills: Record<string, number> = { supervisor: 0, hub: 0, tmux: 0, pane: 0 }
  const endsAt = performance.now() + killMs
  // Each kind comes once before any comes again by chance.
  const first = [...new Set(KINDS)].map((kind) => ({ kind, at: random() })).sort((a, b) => a.at - b.at)
  const killing = (async () => {
    while (performance.now() < endsAt) {
      await new Promise((settle) => setTimeout(settle, 400 + random() * 2_200))
      const kind = first.shift()?.kind ?? KINDS[Math.floor(random() * KINDS.length)] ?? "pane"
      if (strike(rig, kind, names[Math.floor(random() * names.length)] as string)) kills[kind] = (kills[kind] ?? 0) + 1
      if (kind === "hub" || kind === "supervisor") await revive(rig)
    }
  })()
  const sent: { to: string; body: string }[] = []
  for (let number = 0; number < messages; number += 1) {
    const to = names[Math.floor(random() * names.length)] as string
    const body = `message ${number} to ${to}`
    await posted(rig, `to-${to}`, body)
    sent.push({ to, body })
    await new Promise((settle) => setTimeout(settle, (killMs / messages) * random() * 2))
  }
  await killing
  log(`${JSON.stringify(kills)}: all sent, waiting until all is read`)
  await revive(rig)
  const settledFrom = performance.now()
  const heard = new Map<string, Heard[]>()
  await until(
    () => {
      for (const name of names) heard.set(name, rig.heard(name))
      const open = sent.filter(({ to, body }) => heard.get(to)?.some((one) => one.event === "read" && one.body === body) !== true)
      return open.length === 0 ? true : undefined
    },
    "every message is read",
    60_000,
  )
  await until(async () => ((await rig.hub.call("trigger.list", { live: true })).triggers.length === 0 ? true : undefined), "no trigger is open", 60_000)
  const settleMs = Math.round(performance.now() - settledFrom)
  for (const name of names) notTwice(name, heard.get(name) ?? [])
  const { triggers } = await rig.hub.call("trigger.list", { limit: 1_000 })
  expect(triggers.filter(({ status }) => status === "dead")).toEqual([])
  await rig.down()
  expect(leftRunning(rig)).toEqual([])
  const all = [...heard.values()].flat()
  const count = (event: string): number => all.filter((one) => one.event === event).length
  return { messages, kills, wakes: triggers.filter(({ status }) => status === "delivered").length, texts: count("text"), starts: count("started"), settleMs }
}

/** A trigger takes effect where its agent has read and acknowledged. The same text may come to a process that took the place of one that died with it. */
function notTwice(agent: string, heard: readonly Heard[]): void {
  const texts = heard.filter(({ event, nonce }) => event === "text" && nonce !== null)
  const keys = texts.map(({ pid, nonce }) => `${nonce} by ${pid}`)
  expect([agent, keys.filter((key, at) => keys.indexOf(key) !== at)]).toEqual([agent, []])
  const done = heard.flatMap(({ event, nonce }) => (event === "done" ? [nonce] : []))
  expect([agent, done.filter((nonce, at) => done.indexOf(nonce) !== at)]).toEqual([agent, []])
}

function strike(rig: Rig, kind: (typeof KINDS)[number], agent: string): boolean {
  if (kind === "tmux") return spawnSync("tmux", ["-L", rig.socket, "kill-server"]).status === 0
  const { address } = rig.running(agent)
  const pid = kind === "hub" ? (hubPid(rig.folder) ?? 0) : kind === "supervisor" ? rig.supervisorPid() : address !== null && "pid" in address ? address.pid : 0
  if (pid <= 1) return false
  kill(pid)
  return true
}

/** As a user does who sees that something is down; what is in the middle of going down may refuse. */
async function revive(rig: Rig): Promise<void> {
  await until(async () => ((await skein(rig.folder, ["up", "--supervise"])).status === 0 ? true : undefined), "hub and supervisor are up again", 60_000)
}

/** A hub that was just killed is asked again, with the same key: the message is there once. */
async function posted(rig: Rig, thread: string, body: string): Promise<void> {
  await until(
    () =>
      rig.hub.call("message.post", { thread, body }, { key: body.replaceAll(" ", "-"), timeoutMs: 5_000 }).then(
        () => true,
        () => undefined,
      ),
    `posted: ${body}`,
    60_000,
  )
}
