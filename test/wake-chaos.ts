import { spawnSync } from "node:child_process"
import { expect } from "vitest"
import { hubPid, skein, until } from "./cli-driver.ts"
import { type FarMachine, type Heard, newFarMachine, newRig, type Rig } from "./supervisor-rig.ts"
import { kill, leftRunning } from "./left-running.ts"

export type Chaos = { seed: number; agents: number; messages: number; /** How long things are killed, in ms. */ killMs: number; log(line: string): void }
export type ChaosReport = {
  messages: number
  kills: Record<string, number>
  wakes: number
  texts: number
  unsure: number
  starts: number
  settleMs: number
}

/** `paste`: a supervisor, while its text stands in an agent's input. `claim`: the hub, while a trigger is claimed and not yet sent. */
const KINDS = ["supervisor", "hub", "tmux", "pane", "pane", "pane", "paste", "paste", "claim"] as const
type Kind = (typeof KINDS)[number]

/** The column of the cursor where the scripted agent's input is empty. */
const EMPTY_COLUMN = 2
const MOMENT_WITHIN_MS = 4_000
const SETTLES_WITHIN_MS = 120_000

type Team = { rig: Rig; far: FarMachine; names: readonly string[]; random(): number }
/** One that runs agents. */
type Machine = Pick<Rig, "registry" | "socket">

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
 * Messages flow among scripted agents, which two supervisors keep on two tmux servers, while supervisors, hub, terminals and panes are killed at random; what a
 * user would do is done: `skein up --supervise` again. Throws unless every message is read in the end by whom it is for, no trigger took effect twice, and
 * nothing is left running.
 */
export async function wakeChaos({ seed, agents, messages, killMs, log }: Chaos): Promise<ChaosReport> {
  const random = randomFrom(seed)
  // Who has many messages at random would else wait for most of a minute in the end, as the rate has it.
  const rig = await newRig({ wake: { ratePerMinute: 100 } })
  const near = Math.ceil(agents / 2)
  const names = Array.from({ length: agents }, (_, at) => (at < near ? `reader-${at + 1}` : `far-${at - near + 1}`))
  await rig.skein("swarm", "spawn", "--agent", "reader", "--count", String(near))
  const far = await newFarMachine(rig, { name: "lab", agents: names.slice(near), like: "reader-1" })
  await far.start()
  const team: Team = { rig, far, names, random }
  for (const name of names) await rig.hub.call("thread.create", { thread: `to-${name}`, title: "Chaos", participants: [name] })
  const kills: Record<string, number> = { supervisor: 0, hub: 0, tmux: 0, pane: 0, paste: 0, claim: 0 }
  const endsAt = performance.now() + killMs
  // Each kind comes once before any comes again by chance.
  const first = [...new Set(KINDS)].map((kind) => ({ kind, at: random() })).sort((a, b) => a.at - b.at)
  const killing = (async () => {
    while (performance.now() < endsAt) {
      await new Promise((settle) => setTimeout(settle, 400 + random() * 2_200))
      const kind = first.shift()?.kind ?? KINDS[Math.floor(random() * KINDS.length)] ?? "pane"
      if (await strike(team, kind)) kills[kind] = (kills[kind] ?? 0) + 1
      await revive(team)
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
  await revive(team)
  const settledFrom = performance.now()
  const heard = new Map<string, Heard[]>()
  const unread = (): typeof sent => {
    for (const name of names) heard.set(name, rig.heard(name))
    return sent.filter(({ to, body }) => heard.get(to)?.some((one) => one.event === "read" && one.body === body) !== true)
  }
  await until(() => (unread().length === 0 ? true : undefined), "every message is read", SETTLES_WITHIN_MS).catch(async (error: unknown) => {
    throw new Error(await standing(team, unread()), { cause: error })
  })
  await until(
    async () => ((await rig.hub.call("trigger.list", { live: true })).triggers.length === 0 ? true : undefined),
    "no trigger is open",
    SETTLES_WITHIN_MS,
  )
  const settleMs = Math.round(performance.now() - settledFrom)
  for (const name of names) notTwice(name, heard.get(name) ?? [])
  const { triggers } = await rig.hub.call("trigger.list", { limit: 1_000 })
  expect(triggers.filter(({ status }) => status === "dead")).toEqual([])
  const unsure = await unsureOf(rig, triggers)
  await far.stop()
  await rig.down()
  expect([...leftRunning(rig), ...leftRunning(far)]).toEqual([])
  const all = [...heard.values()].flat()
  const count = (event: string): number => all.filter((one) => one.event === event).length
  const wakes = triggers.filter(({ status }) => status === "delivered").length
  return { messages, kills, wakes, texts: count("text"), unsure, starts: count("started"), settleMs }
}

/** A trigger takes effect where its agent has read and acknowledged. The same text may come to a process that took the place of one that died with it. */
function notTwice(agent: string, heard: readonly Heard[]): void {
  const texts = heard.filter(({ event, nonce }) => event === "text" && nonce !== null)
  const keys = texts.map(({ pid, nonce }) => `${nonce} by ${pid}`)
  expect([agent, keys.filter((key, at) => keys.indexOf(key) !== at)]).toEqual([agent, []])
  const done = heard.flatMap(({ event, nonce }) => (event === "done" ? [nonce] : []))
  expect([agent, done.filter((nonce, at) => done.indexOf(nonce) !== at)]).toEqual([agent, []])
}

async function strike({ rig, far, names, random }: Team, kind: Kind): Promise<boolean> {
  const machine: Machine = random() < 0.6 ? rig : far
  if (kind === "tmux") return spawnSync("tmux", ["-L", machine.socket, "kill-server"]).status === 0
  if (kind === "paste") return whileATextStands([rig, far], ({ registry }) => killed(registry.holder()?.pid))
  if (kind === "claim") return whileAJobIsClaimed(rig, () => killed(hubPid(rig.folder)))
  if (kind === "hub") return killed(hubPid(rig.folder))
  if (kind === "supervisor") return killed(machine.registry.holder()?.pid)
  const agent = names[Math.floor(random() * names.length)] as string
  const { address } = (agent.startsWith("far") ? far : rig).registry.runningOf(agent)
  return killed(address !== null && "pid" in address ? address.pid : null)
}

function killed(pid: number | null | undefined): boolean {
  if ((pid ?? 0) <= 1) return false
  kill(pid as number)
  return true
}

/** Waits for the moment in which a text was pasted and Enter not yet pressed. False where Enter was quicker. */
async function whileATextStands(machines: readonly Machine[], act: (machine: Machine) => boolean): Promise<boolean> {
  for (const endsAt = performance.now() + MOMENT_WITHIN_MS; performance.now() < endsAt;) {
    for (const machine of machines) {
      if (!aTextStands(machine) || !act(machine)) continue
      await new Promise((settle) => setTimeout(settle, 100))
      return aTextStands(machine)
    }
    await new Promise((settle) => setTimeout(settle, 5))
  }
  return false
}

function aTextStands({ socket }: Machine): boolean {
  const { stdout } = spawnSync("tmux", ["-L", socket, "list-panes", "-s", "-t", "main", "-F", "#{pane_dead} #{cursor_x}"], { encoding: "utf8" })
  return stdout.split("\n").some((line) => line.startsWith("0 ") && Number(line.slice(2)) > EMPTY_COLUMN)
}

/** Waits for the moment in which a supervisor has claimed a job and has not said that it was sent. */
async function whileAJobIsClaimed({ hub }: Rig, act: () => boolean): Promise<boolean> {
  for (const endsAt = performance.now() + MOMENT_WITHIN_MS; performance.now() < endsAt;) {
    const { triggers } = await hub.call("trigger.list", { live: true }).catch(() => ({ triggers: [] }))
    if (triggers.some(({ status }) => status === "claimed" || status === "delivering")) return act()
    await new Promise((settle) => setTimeout(settle, 5))
  }
  return false
}

/** How often nobody knew whether a text had been typed: its supervisor was killed in the middle of it. Whoever tried again had to look for it first. */
async function unsureOf({ hub }: Rig, triggers: readonly { job: string; maybeSent: boolean }[]): Promise<number> {
  const told = await Promise.all(
    triggers.map(async ({ job }) => (await hub.call("trigger.why", { job })).hops.filter(({ text }) => text.includes("fell silent in the middle"))),
  )
  return told.flat().length
}

/** What there is to see where messages stay unread. */
async function standing({ rig, far }: Team, unread: readonly { to: string; body: string }[]): Promise<string> {
  const agents = [...new Set(unread.map(({ to }) => to))]
  const told = await Promise.all(
    agents.map(async (agent) => {
      const machine = agent.startsWith("far") ? far : rig
      const { triggers } = await rig.hub.call("trigger.list", { target: agent, limit: 3 })
      const hops = await Promise.all(triggers.map(async ({ job }) => (await rig.hub.call("trigger.why", { job })).hops.slice(-12)))
      const { stdout } = spawnSync("tmux", ["-L", machine.socket, "capture-pane", "-p", "-t", `main:${agent}`], { encoding: "utf8" })
      return [
        JSON.stringify(machine.registry.runningOf(agent)),
        stdout,
        JSON.stringify(rig.heard(agent).slice(-8)),
        JSON.stringify({ triggers, hops }, null, 1),
      ].join("\n")
    }),
  )
  return `unread: ${JSON.stringify(unread)}\n${told.join("\n\n")}`
}

/** As users do who see that something is down; what is in the middle of going down may refuse. */
async function revive({ rig, far }: Team): Promise<void> {
  await until(async () => ((await skein(rig.folder, ["up", "--supervise"])).status === 0 ? true : undefined), "hub and supervisor are up again", 60_000)
  if (far.registry.holder() === null) await far.start()
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
