import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { KeyTable } from "../../src/core/key-table.ts"
import { Table } from "../../src/core/table.ts"
import { LedgerClock } from "../../src/hub/clock.ts"
import { Subscriptions } from "../../src/hub/subscriptions.ts"
import { MemoryStore } from "../../src/ledger/memory.ts"
import { find, replaced } from "./planting.ts"

describe("a fault that is planted in what the hub promises of its answers, its stream and its restarts is found:", { timeout: 120_000 }, () => {
  test("a disk that says that it has synced what a power cut then takes", async () => {
    const lying = await replaced(
      MemoryStore.prototype,
      "crash",
      (sound) =>
        function crash(this: MemoryStore, remains): void {
          this.entries = this.entries.slice(0, -2)
          sound.call(this, remains)
        },
      () => find({ hubs: 1 }),
    )
    expect(lying).toMatch(/was acknowledged at \d+ and is gone/)
  })

  test("a hub that knows of no key but the newest", async () => {
    const newest = new WeakMap<KeyTable, number>()
    const forgetful = await replaced(
      KeyTable.prototype,
      "get",
      (sound) =>
        function get(this: KeyTable, key): ReturnType<typeof sound> {
          const known = sound.call(this, key)
          newest.set(this, Math.max(newest.get(this) ?? 0, known?.last ?? 0))
          return known?.last === newest.get(this) ? known : undefined
        },
      () => find({}),
    )
    expect(forgetful).toMatch(/key \S+ \S+ was carried out twice: at \d+ and at \d+/)
  })

  test("an answer that is another when it is asked for again", async () => {
    const moody = await replaced(
      commands["task.update"],
      "answer",
      (sound) => (state, by, input, entries) => {
        const isAgain = state.seq > (entries.at(-1)?.seq ?? state.seq)
        return isAgain ? { ...sound(state, by, input, entries), seq: entries[0]!.seq } : sound(state, by, input, entries)
      },
      () => find({ from: 70 }),
    )
    expect(moody).toMatch(/agent\d heard \d+ for task\.update \S+, which was answered with \d+/)
  })

  test("a message that is answered with another's number", async () => {
    const miscounted = await replaced(
      commands["message.post"],
      "answer",
      (sound) => (state, by, input, entries) => {
        const said = sound(state, by, input, entries)
        return { ...said, message: Math.max(1, said.message - 1) }
      },
      () => find({}),
    )
    expect(miscounted).toMatch(/message\.post \S+ of \w+ is answered with message \d+ of \S+, which is another/)
  })

  test("a stream that leaves a batch out", async () => {
    let batches = 0
    const gappy = await replaced(
      Subscriptions.prototype,
      "publish",
      (sound) =>
        function publish(this: Subscriptions, stored): void {
          if ((batches += 1) % 50 !== 0) sound.call(this, stored)
        },
      () => find({}),
    )
    expect(gappy).toMatch(/a subscriber of hub \d heard \d+ to \d+ after \d+/)
  })

  test("a start that takes a table of a snapshot for empty", async () => {
    const poor = await replaced(
      Table.prototype as Table<unknown>,
      "restore",
      (sound) =>
        function restore(this: Table<unknown>, key: string, before: unknown): void {
          if (this.name !== "attempts" || this.has(key)) sound.call(this, key, before)
        },
      () => find({}),
    )
    expect(poor).toMatch(/is not what a replay reaches|live state and replay differ|the state from a snapshot and the one from a replay differ/)
  })

  test("a hub whose clock does not follow what another appends", async () => {
    const late = await replaced(
      LedgerClock.prototype,
      "catchUp",
      () => () => undefined,
      () => find({ hubs: 2 }),
    )
    expect(late).toMatch(/entry \d+ is \d+ ms older than the one before it/)
  })
})
