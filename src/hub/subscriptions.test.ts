import { describe, expect, test } from "vitest"
import { OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import { type Frame, type Sink, Subscriptions } from "./subscriptions.ts"

/** A reader that keeps what it got, and whose buffer has room for so many frames. */
class Listener implements Sink {
  readonly frames: Frame[] = []
  readonly resyncs: number[] = []
  ended = 0
  room = Number.POSITIVE_INFINITY

  deliver(frame: Frame): void {
    this.frames.push(frame)
  }

  writable(): boolean {
    return this.frames.length < this.room
  }

  resync(from: number): void {
    this.resyncs.push(from)
  }

  end(): void {
    this.ended += 1
  }

  get entries(): Entry[] {
    return this.frames.flatMap(({ text }) => JSON.parse(text) as Entry[])
  }

  get seqs(): number[] {
    return this.entries.map(({ seq }) => seq)
  }
}

const upTo = (seq: number, from = 1): number[] => Array.from({ length: seq - from + 1 }, (_, at) => from + at)

async function write(rig: Rig, count: number, name = "t"): Promise<void> {
  await rig.run(Promise.all(Array.from({ length: count }, (_, at) => rig.loop.execute("task.add", OPERATOR, { id: `${name}${at}`, title: name }))))
}

/** A reader with room for two frames and one with room for all, both live from the next entry after `seq` on. */
async function slowAndQuick(rig: Rig): Promise<{ slow: Listener; quick: Listener; seq: number }> {
  const [slow, quick] = [new Listener(), new Listener()]
  slow.room = 2
  const { seq } = rig.loop.head
  rig.loop.subscribe(seq + 1, slow)
  rig.loop.subscribe(seq + 1, quick)
  await rig.clock.advance(0)
  return { slow, quick, seq }
}

describe("a subscription", () => {
  test("from any seq has no gap and nothing twice, while writes go on", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000, batchMax: 50 } })
    await write(rig, 1_200, "before")
    const listeners = [1, 2, 513, 1_000, 1_202, 1_203, 1_240, 1_258].map((from) => ({ from, listener: new Listener() }))
    rig.disk.held = true
    const writing = write(rig, 60, "during")
    await rig.clock.advance(1)
    for (const { from, listener } of listeners) rig.loop.subscribe(from, listener)
    rig.disk.release()
    await writing
    await write(rig, 60, "after")
    await rig.clock.advance(1)
    const { seq } = rig.loop.head
    for (const { from, listener } of listeners) expect(listener.seqs).toEqual(upTo(seq, from))
    expect(listeners[0]!.listener.entries).toEqual(rig.entries())
    expect(listeners[0]!.listener.entries.map((entry) => JSON.stringify(entry))).toEqual(
      rig.store.entries.map(({ bytes }) => JSON.stringify(decodeEntry(bytes))),
    )
  })

  test("of many that take each other's place at once only the last reads the ledger", async () => {
    const reads: number[] = []
    const subscriptions = new Subscriptions((from) => {
      reads.push(from)
      return Promise.resolve([{ seq: from, bytes: "{}", hash: new Uint8Array(32) }])
    }, 1)
    const last = new Listener()
    for (let many = 0; many < 100; many += 1) subscriptions.subscribe(1, new Listener())()
    subscriptions.subscribe(1, last)
    await new Promise((resolve) => setImmediate(resolve))
    expect([reads, last.frames.length]).toEqual([[1], 1])
  })

  test("carries the stored bytes themselves, framed once for all who are live", async () => {
    const rig = await openRig()
    const [one, other] = [new Listener(), new Listener()]
    rig.loop.subscribe(rig.loop.head.seq + 1, one)
    rig.loop.subscribe(rig.loop.head.seq + 1, other)
    await rig.clock.advance(0)
    await write(rig, 3)
    expect(one.frames).toHaveLength(1)
    expect(one.frames[0]).toBe(other.frames[0])
    expect(one.frames[0]!.text).toBe(
      `[${rig.store.entries
        .slice(-3)
        .map(({ bytes }) => bytes)
        .join(",")}]`,
    )
  })

  test("that is too slow is told where to go on, is dropped, and holds up neither writers nor other readers", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    const { slow, quick, seq } = await slowAndQuick(rig)
    for (const name of ["a", "b", "c", "d"]) await write(rig, 1, name)
    expect(quick.seqs).toEqual(upTo(seq + 4, seq + 1))
    expect([slow.seqs, slow.resyncs, slow.ended]).toEqual([[seq + 1, seq + 2], [seq + 3], 0])
    slow.room = 100
    rig.loop.subscribe(slow.resyncs[0]!, slow)
    await write(rig, 1, "e")
    expect(slow.seqs).toEqual(upTo(seq + 5, seq + 1))
    expect(rig.loop.stats()).toMatchObject({ subscribers: 2 })
  })

  test("that is too slow for a long batch is told within it, and has no part of it twice", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000, batchMax: 500 } })
    const { slow, quick, seq } = await slowAndQuick(rig)
    rig.disk.held = true
    const writing = write(rig, 501)
    rig.disk.release()
    await writing
    expect(rig.loop.stats()["largestBatch"]).toBeGreaterThan(400)
    expect(quick.seqs).toEqual(upTo(seq + 501, seq + 1))
    expect(Math.max(...quick.frames.map(({ from, to }) => to - from + 1))).toBe(128)
    expect(slow.resyncs).toEqual([(slow.seqs.at(-1) as number) + 1])
    slow.room = 100
    rig.loop.subscribe(slow.resyncs[0]!, slow)
    await rig.clock.advance(0)
    expect(slow.seqs).toEqual(quick.seqs)
  })

  test("that is slow while it catches up is told as well", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    await write(rig, 1_500)
    const slow = new Listener()
    slow.room = 1
    rig.loop.subscribe(1, slow)
    await rig.clock.advance(0)
    expect([slow.seqs.at(-1), slow.resyncs]).toEqual([128, [129]])
    expect(rig.loop.stats()).toMatchObject({ subscribers: 0 })
  })

  test("that catches up holds no more of long entries than one message, until that is on its way", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    const body = "x".repeat(30_000)
    await rig.run(Promise.all(Array.from({ length: 40 }, (_, at) => rig.loop.execute("task.add", OPERATOR, { id: `t${at}`, title: "T", body }))))
    const slow = new Listener()
    const drains: (() => void)[] = []
    rig.loop.subscribe(1, Object.assign(slow, { drained: (then: () => void) => void drains.push(then) }))
    await rig.clock.advance(0)
    for (let goes = 1; goes < 100 && slow.frames.length === goes && drains.length === goes; goes += 1) {
      drains[goes - 1]!()
      await rig.clock.advance(0)
    }
    expect(slow.seqs).toEqual(upTo(rig.loop.head.seq))
    expect(Math.max(...slow.frames.map(({ text }) => text.length))).toBeLessThanOrEqual(256 * 1_024)
    expect(slow.frames.length).toBeGreaterThan(4)
  })

  test("that is given up gets nothing more, in the middle of catching up or live", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    await write(rig, 600)
    const [catching, live] = [new Listener(), new Listener()]
    const stopCatching = rig.loop.subscribe(1, catching)
    const stopLive = rig.loop.subscribe(rig.loop.head.seq + 1, live)
    stopCatching()
    await write(rig, 1, "x")
    stopLive()
    await write(rig, 1, "y")
    expect([catching.seqs, live.seqs.length]).toEqual([[], 1])
  })

  test("whose sink throws is dropped and harms nobody else", async () => {
    const rig = await openRig()
    const sound = new Listener()
    const broken: Sink = {
      deliver: () => {
        throw new Error("planted")
      },
      writable: () => true,
      resync: () => undefined,
      end: () => {
        throw new Error("planted too")
      },
    }
    const { seq } = rig.loop.head
    rig.loop.subscribe(seq + 1, broken)
    rig.loop.subscribe(seq + 1, sound)
    await rig.clock.advance(0)
    await write(rig, 2)
    expect([sound.seqs, rig.fatal, rig.loop.stats()["subscribers"]]).toEqual([[seq + 1, seq + 2], [], 1])
  })

  test("is ended when its hub closes, and when the ledger cannot be read", async () => {
    const rig = await openRig()
    const listener = new Listener()
    rig.loop.subscribe(1, listener)
    await rig.close()
    expect(listener.ended).toBe(1)
    const unread = new Listener()
    const subscriptions = new Subscriptions(() => Promise.reject(new Error("planted")), 5)
    subscriptions.subscribe(1, unread)
    await rig.clock.advance(0)
    expect([unread.ended, subscriptions.size]).toEqual([1, 0])
  })
})
