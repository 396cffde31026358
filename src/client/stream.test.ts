import fc from "fast-check"
import { expect, test } from "vitest"
import type { Entry } from "../core/entry.ts"
import { EventReaders } from "./stream.ts"

/** A hub's side of the stream: entries 1 to `head`, delivered from where the last subscription asked, in pieces. */
class Source {
  readonly readers: EventReaders
  head: number
  #next = 1
  subscriptions = 0

  constructor(head: number) {
    this.head = head
    const subscribe = (from: number): void => {
      this.#next = from
      this.subscriptions += 1
    }
    this.readers = new EventReaders({ subscribe, unsubscribe: () => (this.#next = Number.POSITIVE_INFINITY) })
  }

  /** Delivers the next piece of `size` entries; false where the subscription stands at the head. */
  pump(size: number): boolean {
    const from = this.#next
    const to = Math.min(this.head, from + size - 1)
    if (from > to) return false
    this.#next = to + 1
    this.readers.deliver(
      from,
      to,
      Array.from({ length: to - from + 1 }, (_, at) => ({ seq: from + at }) as Entry),
    )
    return true
  }

  /** The connection broke, and is there again: nothing is delivered until somebody subscribes. */
  reconnect(): void {
    this.#next = Number.POSITIVE_INFINITY
    this.readers.resubscribe()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test("whatever is delivered, repeated and broken off, each reader sees each entry once and in order", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("pump" as const), size: fc.integer({ min: 1, max: 7 }) }),
    fc.record({ do: fc.constant("reconnect" as const) }),
    fc.record({ do: fc.constant("read" as const), from: fc.integer({ min: 1, max: 30 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
      const source = new Source(30)
      const seen: { from: number; seqs: number[] }[] = []
      for (const taken of steps) {
        if (taken.do === "pump") source.pump(taken.size)
        else if (taken.do === "reconnect") source.reconnect()
        else {
          const reader = { from: taken.from, seqs: [] as number[] }
          seen.push(reader)
          void (async () => {
            for await (const { seq } of source.readers.read(taken.from)) reader.seqs.push(seq)
          })()
        }
        await settled()
      }
      while (source.pump(5)) await settled()
      await settled()
      for (const { from, seqs } of seen) expect(seqs).toEqual(Array.from({ length: 31 - from }, (_, at) => from + at))
      source.readers.end("closed")
    }),
  )
})

test("a reader that does not keep up holds a bounded queue, and asks again from where it stopped", async () => {
  const source = new Source(100_000)
  const stream = source.readers.read(1)
  expect((await Promise.all([stream.next(), settled().then(() => source.pump(1_000))]))[0].value).toMatchObject({ seq: 1 })
  while (source.pump(1_000)) await settled()
  expect(source.subscriptions).toBe(1)
  let last = 1
  for (let read = 2; read <= 100_000; read += 1) {
    const next = stream.next()
    if (read % 1_000 === 0) await settled()
    while (last + 1 === read && (await Promise.race([next, settled().then(() => null)])) === null) source.pump(1_000)
    const { value } = await next
    expect((value as Entry).seq).toBe(read)
    last = read
  }
  expect(source.subscriptions).toBe(2)
  await stream.return()
})

test("a stream ends with its signal, though nothing is delivered", async () => {
  const source = new Source(0)
  const stop = new AbortController()
  const next = source.readers.read(1, stop.signal).next()
  await settled()
  stop.abort()
  expect(await next).toEqual({ done: true, value: undefined })
  expect(source.readers.any).toBe(false)
})

test("a reader that was told to leave holds nothing, though its consumer never asks again", async () => {
  const source = new Source(9)
  const stop = new AbortController()
  const stream = source.readers.read(1, stop.signal)
  const first = stream.next()
  source.pump(3)
  expect((await first).value).toEqual({ seq: 1 })
  stop.abort()
  expect(source.readers.any).toBe(false)
  expect(source.pump(3)).toBe(false)
})

test("who begins to read when the stream is over for good ends as it did", async () => {
  const source = new Source(9)
  source.readers.close("closed")
  expect(await source.readers.read(1).next()).toEqual({ done: true, value: undefined })
  expect(source.readers.any).toBe(false)
})

test("what comes with a gap before it is not taken: it is asked for again from where the gap begins", async () => {
  const asked: number[] = []
  const readers = new EventReaders({ subscribe: (from) => void asked.push(from), unsubscribe: () => undefined })
  const stream = readers.read(1)
  const first = stream.next()
  readers.deliver(4, 4, [{ seq: 4 } as Entry])
  expect(asked).toEqual([1, 1])
  readers.deliver(
    1,
    4,
    [1, 2, 3, 4].map((seq) => ({ seq }) as Entry),
  )
  expect([(await first).value, (await stream.next()).value]).toEqual([{ seq: 1 }, { seq: 2 }])
  await stream.return()
})
