import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { GENESIS } from "../core/hash.ts"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import { makeEntries, plain } from "../../test/ledger-entries.ts"
import { describeDamage } from "./damage.contract.ts"
import { LedgerFailure, type Ledger, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/** A store under test; a fresh one for each test. */
export type Subject = {
  /** What the handles that it opens declare. */
  supports: Ledger["supports"]
  /** Opens a handle: the first, one more, or again after `close` or `crash`. Throws as the store does. */
  open(): Ledger
  /** Opens a store that was damaged, for reading; `open` where the store does not look at its end when it is opened. */
  openDamaged?(): Ledger
  /** Power is cut, whoever has it open: what was not synced is lost. */
  crash(): void
  /** Changes the stored rows behind the store's back, while no handle is open. A row's place is where it stands in the list. */
  damage(change: (rows: Stored[]) => Stored[]): void
  /** A path for a backup and how to open it, for stores with files. */
  backup: { path: string; open(): Ledger } | null
  dispose(): void
}

/** The rules that every store keeps, and for each thing it may support, the rule for those that do and for those that do not. */
export function describeLedger(name: string, make: () => Subject): void {
  describe(`the ledger's contract: ${name}`, () => {
    let subject: Subject
    let chain: Chain
    beforeEach(() => {
      subject = make()
      chain = new Chain(sha256)
    })
    afterEach(() => subject.dispose())

    it("an empty ledger ends at 0, with 32 zero bytes", async () => {
      const ledger = subject.open()
      expect(ledger.supports).toEqual(subject.supports)
      expect(await ledger.head()).toEqual({ seq: 0, hash: GENESIS })
      expect(await ledger.read(1, 10)).toEqual([])
      await ledger.close()
    })

    it("gives back the very bytes and hashes, whatever the text", async () => {
      const ledger = subject.open()
      const texts = ["", "ünï\u{1F9E6}", "\uFFFD honest", "\u0000\u001b[31m", "\uD800 alone", "\"'\\ \r\n\t", "x".repeat(ENTRY_MAX_BYTES - 250)]
      const batch = makeEntries(chain, texts.length, (seq) => texts[seq - 1]!)
      const appended = await ledger.append(0, batch)
      expect(appended).toEqual({ ok: true, head: { seq: texts.length, hash: chain.hash } })
      expect(plain(await ledger.read(1, 100))).toEqual(plain(batch))
      expect(plain([{ ...(await ledger.head()), bytes: "" }])).toEqual(plain([{ seq: texts.length, hash: chain.hash, bytes: "" }]))
      await ledger.close()
    })

    it("reads from any entry on, as many as asked for, fewer only at the end", async () => {
      const ledger = subject.open()
      const batch = makeEntries(chain, 10)
      await ledger.append(0, batch)
      expect((await ledger.read(4, 3)).map(({ seq }) => seq)).toEqual([4, 5, 6])
      expect((await ledger.read(9, 3)).map(({ seq }) => seq)).toEqual([9, 10])
      expect(await ledger.read(11, 3)).toEqual([])
      await ledger.close()
    })

    it("an append against another head than the last answers where the ledger ends, and writes nothing", async () => {
      const ledger = subject.open()
      await ledger.append(0, makeEntries(chain, 3))
      const head = { seq: 3, hash: chain.hash }
      const stale = makeEntries(new Chain(sha256), 2)
      for (const expected of [0, 2, 4]) {
        const moved = await ledger.append(expected, stale)
        expect(moved).toEqual({ ok: false, moved: head })
      }
      expect(await ledger.read(1, 10)).toHaveLength(3)
      expect((await ledger.append(3, makeEntries(chain, 1))).ok).toBe(true)
      await ledger.close()
    })

    it("a batch with a wrong place in it is a bug, and none of it is written", async () => {
      const ledger = subject.open()
      const [one, two, three] = makeEntries(chain, 3)
      await expect(ledger.append(0, [one!, three!])).rejects.toThrow("bug")
      await expect(ledger.append(0, [one!, two!, two!])).rejects.toThrow("bug")
      expect((await ledger.head()).seq).toBe(0)
      expect((await ledger.append(0, [one!, two!, three!])).ok).toBe(true)
      await ledger.close()
    })

    it("after closing and opening again everything is there, and the chain goes on", async () => {
      const first = subject.open()
      const batch = makeEntries(chain, 100)
      await first.append(0, batch)
      await first.idle()
      await first.append(100, makeEntries(chain, 1))
      await first.close()
      const again = subject.open()
      expect(await again.head()).toEqual({ seq: 101, hash: chain.hash })
      expect(plain(await again.read(1, 100))).toEqual(plain(batch))
      expect((await again.append(101, makeEntries(chain, 1))).ok).toBe(true)
      await again.close()
    })

    it("a durable store keeps what it answered through a crash; another only what was synced when idle", async () => {
      const ledger = subject.open()
      await ledger.append(0, makeEntries(chain, 5))
      await ledger.idle()
      await ledger.append(5, makeEntries(chain, 2))
      subject.crash()
      const again = subject.open()
      expect((await again.head()).seq).toBe(subject.supports.durable ? 7 : 5)
      await again.close()
    })

    it("with one writer a second is refused until the first has closed; `moved` ends only with its signal", async () => {
      if (subject.supports.manyWriters) return expectTwoWriters(subject)
      const ledger = subject.open()
      const refused = failureOf(() => subject.open())
      expect(refused?.code).toBe("locked")
      expect(refused?.remedy).toContain("stop it")
      const abort = new AbortController()
      let ended: unknown = null
      const moved = ledger.moved(0, abort.signal).then(
        () => (ended = "moved"),
        (reason: unknown) => (ended = reason),
      )
      await ledger.append(0, makeEntries(chain, 1))
      await new Promise((resolve) => setImmediate(resolve))
      expect(ended).toBe(null)
      abort.abort(new Error("enough"))
      await moved
      expect(ended).toEqual(new Error("enough"))
      await ledger.close()
      await subject.open().close()
    })

    it("of two writers who append at one head exactly one wins, and the other learns the new head", async () => {
      if (!subject.supports.manyWriters) return expectOneWriter(subject)
      const [one, other] = [subject.open(), subject.open()]
      let heads = 0
      for (let round = 0; round < 50; round++) {
        const ones = new Chain(sha256, chain.record())
        const others = new Chain(sha256, chain.record())
        const races = await Promise.all([
          one.append(
            heads,
            makeEntries(ones, 1 + (round % 3), () => "one"),
          ),
          other.append(
            heads,
            makeEntries(others, 1 + (round % 2), () => "other"),
          ),
        ])
        expect(races.filter(({ ok }) => ok)).toHaveLength(1)
        const winner = races[0].ok ? ones : others
        winner.commit()
        expect(races.find(({ ok }) => !ok)).toEqual({ ok: false, moved: { seq: winner.seq, hash: winner.hash } })
        chain = winner
        heads = winner.seq
      }
      expect((await other.head()).seq).toBe(heads)
      await Promise.all([one.close(), other.close()])
    })

    it("a backup taken while it is in use is a ledger of its own, for stores with files", async () => {
      const ledger = subject.open()
      const batch = makeEntries(chain, 300)
      await ledger.append(0, batch)
      if (!subject.backup) {
        await expect(ledger.backup("/nowhere")).rejects.toMatchObject({ code: "unsupported" })
      } else {
        const copying = ledger.backup(subject.backup.path)
        const more = makeEntries(chain, 10)
        expect((await ledger.append(300, more)).ok).toBe(true)
        await copying
        await expect(ledger.backup(subject.backup.path)).rejects.toMatchObject({ code: "rolled_back" })
        const copy = subject.backup.open()
        expect(plain(await copy.read(1, 300))).toEqual(plain(batch))
        await copy.close()
      }
      await ledger.close()
    })

    it("keeps what an honest list would keep, whatever the order of appends, lost races, idling, crashes and restarts", async () => {
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 20 }).map((count) => ({ do: "append" as const, count })) },
        { weight: 2, arbitrary: fc.integer({ min: 1, max: 3 }).map((behind) => ({ do: "stale" as const, behind })) },
        { weight: 2, arbitrary: fc.constantFrom({ do: "idle" as const }, { do: "reopen" as const }, { do: "crash" as const }) },
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 15, size: "max" }), async (steps) => {
          const fresh = make()
          const grown = new Chain(sha256)
          const list: Stored[] = []
          let ledger = fresh.open()
          for (const taken of steps) {
            if (taken.do === "append") {
              const batch = makeEntries(grown, taken.count)
              grown.commit()
              expect(await ledger.append(list.length, batch)).toEqual({ ok: true, head: { seq: grown.seq, hash: grown.hash } })
              list.push(...batch)
            } else if (taken.do === "stale") {
              const stale = await ledger.append(list.length + taken.behind, makeEntries(new Chain(sha256), 1))
              expect(stale).toMatchObject({ ok: false, moved: { seq: list.length } })
            } else if (taken.do === "idle") await ledger.idle()
            else {
              if (!fresh.supports.durable) await ledger.idle()
              if (taken.do === "crash") fresh.crash()
              else await ledger.close()
              ledger = fresh.open()
            }
            expect((await ledger.head()).seq).toBe(list.length)
          }
          expect(plain(await ledger.read(1, 1000))).toEqual(plain(list))
          await ledger.close()
          fresh.dispose()
        }),
        { numRuns: 25 },
      )
    })
  })
  describeDamage(name, make)
}

function failureOf(act: () => unknown): LedgerFailure | null {
  try {
    act()
    return null
  } catch (error) {
    if (error instanceof LedgerFailure) return error
    throw error
  }
}

async function expectTwoWriters(subject: Subject): Promise<void> {
  const [one, other] = [subject.open(), subject.open()]
  const chain = new Chain(sha256)
  let told = 0
  const ends = [
    one.moved(0, new AbortController().signal).then(
      () => told++,
      () => undefined,
    ),
  ]
  const moved = other.moved(0, new AbortController().signal)
  await one.append(0, makeEntries(chain, 1))
  await moved
  expect(told).toBe(0)
  await other.moved(0, new AbortController().signal)
  const abort = new AbortController()
  const waiting = other.moved(1, abort.signal)
  abort.abort(new Error("enough"))
  await expect(waiting).rejects.toThrow("enough")
  await expect(other.moved(1, abort.signal)).rejects.toThrow("enough")
  await Promise.all([one.close(), other.close()])
  await Promise.all(ends)
}

async function expectOneWriter(subject: Subject): Promise<void> {
  const ledger = subject.open()
  expect(failureOf(() => subject.open())?.code).toBe("locked")
  await ledger.close()
}
