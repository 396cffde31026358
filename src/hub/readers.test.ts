import { expect, test } from "vitest"
import { Readers } from "./readers.ts"
import { VirtualClock } from "./virtual-clock.ts"

/** Looks that take `lookMs` each, on a clock that they move. */
type Looks = { clock: VirtualClock; look: (name: number) => () => number; done: number[]; busy: boolean; readers: Readers }

function looks(lookMs: number): Looks {
  let lateMs = 0
  const clock = new (class extends VirtualClock {
    override monotonicMs(): number {
      return super.monotonicMs() + lateMs
    }
  })()
  const all: Looks = {
    clock,
    done: [],
    busy: false,
    look: (name: number) => (): number => {
      lateMs += lookMs
      return all.done.push(name)
    },
    readers: new Readers(clock, () => all.busy),
  }
  return all
}

test("looks that take long are made over many turns of the loop, in their order, and others have theirs between", async () => {
  const { clock, done, look, readers } = looks(4)
  const between: number[] = []
  const turn = (): void => {
    between.push(done.length)
    if (done.length < 30) clock.soon(turn)
  }
  const all = Array.from({ length: 30 }, (_, name) => readers.read("ada", look(name)))
  clock.soon(turn)
  await clock.until(Promise.all(all))
  expect(done).toEqual(Array.from({ length: 30 }, (_, name) => name))
  expect(between.slice(0, 8)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
})

test("short looks are all made at once, until together they have taken long", async () => {
  const { clock, done, look, readers } = looks(0.1)
  for (let name = 0; name < 20; name += 1) void readers.read("ada", look(name))
  expect(done).toHaveLength(20)
  // Each is asked for once the one before it is answered, as a search through the ledger does.
  let turns = 0
  const turn = (): void => {
    turns += 1
    if (done.length < 320) clock.soon(turn)
  }
  clock.soon(turn)
  const search = async (): Promise<void> => {
    for (let name = 20; name < 320; name += 1) await readers.read("ada", look(name))
  }
  await clock.until(search())
  expect(done).toHaveLength(320)
  expect(turns).toBeGreaterThan(5)
})

test("those who wait for a batch look when it has landed, as many as one turn takes, and whoever comes meanwhile looks after them", async () => {
  const all = looks(4)
  const { clock, done, look, readers } = all
  all.busy = true
  const waiting = Array.from({ length: 5 }, (_, name) => readers.read("ada", look(name)))
  await clock.advance(1)
  expect(done).toEqual([])
  all.busy = false
  readers.look()
  expect(done).toEqual([0])
  const late = readers.read("ada", look(5))
  await clock.until(Promise.all([...waiting, late]))
  expect(done).toEqual([0, 1, 2, 3, 4, 5])
})

test("nobody waits for another's hundreds: who waits takes turns", async () => {
  const { clock, done, look, readers } = looks(20)
  const many = Array.from({ length: 100 }, (_, name) => readers.read("ada", look(name)))
  const one = readers.read("ben", look(1_000))
  await clock.until(one)
  expect(done.length).toBeLessThanOrEqual(3)
  await clock.until(Promise.all(many))
  expect(done).toHaveLength(101)
})

test("a look that throws is its caller's failure alone", async () => {
  const { clock, done, look, readers } = looks(20)
  const failed = readers.read("ada", () => {
    look(0)()
    throw new Error("no such task")
  })
  const next = readers.read("ada", look(1))
  await expect(failed).rejects.toThrow("no such task")
  await clock.until(next)
  expect(done).toEqual([0, 1])
})
