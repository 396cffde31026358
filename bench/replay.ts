import { join } from "node:path"
import { Child } from "./child.ts"
import { median, round, show, table } from "./figure.ts"
import type { Made, Replayed } from "./history.ts"
import type { Verdict } from "./claims.ts"

export type ReplayOptions = { directory: string; entries: number; rounds: number }
export const REPLAY: Omit<ReplayOptions, "directory"> = { entries: 1_000_000, rounds: 3 }

export type ReplayReport = {
  entries: number
  seconds: number
  entriesPerS: number
  checkpoints: number
  allHold: boolean
  rssMb: number
  made: { seconds: number; entriesPerS: number; bytesPerEntry: number }
  gate: Record<string, Verdict>
}

const LIMIT_S_PER_ENTRY = 8 / 1_000_000

/** Full verification and fold of a ledger that the loop wrote, each time in a fresh process. */
export async function benchReplay({ directory, entries, rounds }: ReplayOptions): Promise<ReplayReport> {
  const home = join(directory, "history")
  const maker = new Child("./history.ts")
  const made = await maker.call<Made>("make", { directory: home, entries, snapshotEntries: Number.MAX_SAFE_INTEGER })
  await maker.stop()
  const replayed: Replayed[] = []
  for (let at = 0; at < rounds; at += 1) {
    const child = new Child("./history.ts")
    replayed.push(await child.call<Replayed>("replay", { directory: home }))
    await child.stop()
  }
  const [first] = replayed as [Replayed]
  const seconds = median(replayed.map((one) => one.seconds))
  const limit = round(LIMIT_S_PER_ENTRY * first.entries)
  return {
    entries: first.entries,
    seconds: round(seconds),
    entriesPerS: round(first.entries / seconds),
    checkpoints: first.checkpoints,
    allHold: replayed.every(({ allHold }) => allHold),
    rssMb: round(median(replayed.map(({ rssBytes }) => rssBytes / 1e6))),
    made: { seconds: round(made.seconds), entriesPerS: round(made.entries / made.seconds), bytesPerEntry: round(made.bytesPerEntry) },
    gate: { replayS: { value: round(seconds), limit, ok: seconds <= limit } },
  }
}

export function describeReplay({ entries, seconds, entriesPerS, checkpoints, allHold, rssMb, made, gate }: ReplayReport): string {
  const verdict = gate["replayS"]?.ok === true ? "holds" : "FAILS"
  return [
    table(
      ["replay", "entries", "seconds", "entries/s", "checkpoints", "", "MB"],
      [["verify and fold", show(entries), show(seconds), show(entriesPerS), show(checkpoints), allHold ? "all hold" : "DIFFER", show(rssMb)]],
    ),
    `made in ${show(made.seconds)} s (${show(made.entriesPerS)} entries/s, ${show(made.bytesPerEntry)} bytes each); limit ${show(gate["replayS"]?.limit)} s: ${verdict}`,
  ].join("\n\n")
}
