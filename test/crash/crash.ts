import { rmSync } from "node:fs"
import type { Entry } from "../../src/core/entry.ts"
import { replay } from "../../src/hub/replay.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"
import { HubProcess } from "./hub-process.ts"
import { Load } from "./load.ts"
import { type Tear, tear } from "./tear.ts"

export type CrashOptions = {
  kills: number
  seed: number
  workers?: number
  /** The program to run; `src/cli/main.ts` by default. */
  main?: string
  /** Plants a fault: the tail is torn as if nobody had been told of anything. */
  overlooks?: boolean
  log?: (line: string) => void
}
export type CrashReport = {
  seed: number
  kills: number
  whileStarting: number
  acknowledged: number
  entries: number
  tears: Record<Tear, number>
  restartMs: { median: number; worst: number }
}

/**
 * Kills a real hub under the load of real clients, again and again, at moments that the seed chooses, and does to its files what a power cut may do.
 * After every restart all that anybody was told is there, the chain verifies, and an independent replay reaches the live hub's digest. Throws at the
 * first promise that is broken, and then leaves the hub's directory as it was.
 */
export async function crashes({ kills, seed, workers = 6, main, overlooks = false, log = () => undefined }: CrashOptions): Promise<CrashReport> {
  const chance = new Chance(seed)
  const hub = new HubProcess(main)
  const tears: Record<Tear, number> = { nothing: 0, garbage: 0, "cut short": 0, "half a frame": 0, "an unheard transaction lost": 0 }
  const restarts: number[] = []
  let [whileStarting, entries] = [0, 0]
  let load: Load | null = null
  // Whoever ends the harness in the middle ends the hub with it.
  const abandon = (): void => hub.abandon()
  process.once("exit", abandon)
  try {
    hub.spawn()
    await hub.up()
    load = new Load(hub.url, seed)
    await load.start(hub.credentialFile, workers)
    for (let kill = 1; kill <= kills; kill += 1) {
      const startsOver = chance.happens(0.15)
      if (startsOver) {
        // The next one dies while it starts.
        await dies(hub, overlooks ? null : load, chance, tears)
        hub.spawn()
        await pause(chance.between(20, 700))
        whileStarting += 1
      } else await pause(chance.between(20, 500))
      await dies(hub, overlooks ? null : load, chance, tears)
      const spawnedMs = performance.now()
      const toldBefore = load.told.length
      hub.spawn()
      await hub.up()
      restarts.push(performance.now() - spawnedMs)
      entries = await verify(hub, load)
      await goesOn(load, toldBefore)
      if (kill % 10 === 0 || kill === kills) log(`${kill} of ${kills} kills: ${load.told.length} acknowledged, ${entries} entries`)
    }
    const acknowledged = load.told.length
    await load.stop()
    await hub.stop()
    rmSync(hub.directory, { recursive: true })
    restarts.sort((a, b) => a - b)
    return {
      seed,
      kills,
      whileStarting,
      acknowledged,
      entries,
      tears,
      restartMs: { median: Math.round(restarts[restarts.length >> 1] ?? 0), worst: Math.round(restarts.at(-1) ?? 0) },
    }
  } catch (error) {
    await load?.stop().catch(() => undefined)
    await hub.kill()
    throw new Error(
      `seed ${seed}: ${(error as Error).message}\nThe hub's directory is kept: ${hub.directory}\nRepeat with: npm run crash -- --kills ${kills} --seed ${seed}`,
      { cause: error },
    )
  } finally {
    process.off("exit", abandon)
  }
}

async function dies(hub: HubProcess, load: Load | null, chance: Chance, tears: Record<Tear, number>): Promise<void> {
  await hub.kill()
  // What the hub had said when it died is still on its way: it counts as told.
  await pause(60)
  const toldSeq = load === null ? 0 : Math.max(load.toldSeq, hub.keptCheckpoint + 1)
  tears[tear(hub.ledger, toldSeq, chance)] += 1
}

/** All that was told is in the ledger, the chain holds, every checkpoint fits, and the live hub's digest is that of a replay of the file. */
async function verify(hub: HubProcess, load: Load): Promise<number> {
  const told = [...load.told]
  const { size, digest } = await load.director.ledger.checkpoint()
  const ledger = openSqlite({ path: hub.ledger, readOnly: true })
  try {
    const entries: Entry[] = []
    const replayed = await replay(ledger, sha256, { onEntry: (entry) => void entries.push(entry) })
    const wrong = replayed.compared.find(({ ok }) => !ok)
    if (wrong !== undefined) throw new Error(`the checkpoint at ${wrong.seq} is not what a replay reaches`)
    const live = replayed.compared.find((checkpoint) => checkpoint.size === size)
    if (live?.digestReached !== digest) throw new Error(`the live hub's digest at ${size} is not that of a replay`)
    for (const { seq, agent, type, task } of told) {
      const entry = entries[seq - 1]
      const fits = entry?.type === type && entry.actor.agent === agent && (entry.data as { id?: string }).id === task
      if (!fits)
        throw new Error(
          `${type} of ${task} by ${agent} was acknowledged at ${seq}, where the ledger has ${entry === undefined ? "nothing" : `${entry.type} by ${entry.actor.agent}`}`,
        )
    }
    if (load.faults.length > 0) throw new Error(load.faults.slice(0, 5).join("\n"))
    return replayed.entries
  } finally {
    await ledger.close()
  }
}

/** The clients find the hub again by themselves, and go on. */
async function goesOn(load: Load, toldBefore: number): Promise<void> {
  const untilMs = performance.now() + 15_000
  while (load.told.length < toldBefore + 10) {
    if (load.faults.length > 0) throw new Error(load.faults.slice(0, 5).join("\n"))
    if (performance.now() > untilMs) throw new Error("the clients do not go on by themselves")
    await pause(5)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
