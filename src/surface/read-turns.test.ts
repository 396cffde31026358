import { expect, test } from "vitest"
import { ReadTurns } from "./read-turns.ts"

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test("reads that are done at once are carried out eight a turn of the loop, in their order: others have their turns between", async () => {
  const turns = new ReadTurns(() => true)
  const begun: number[] = []
  for (let at = 0; at < 30; at += 1)
    turns.begin(() => {
      begun.push(at)
      void Promise.resolve().then(() => turns.done())
    })
  const after: number[] = []
  for (let many = 0; many < 5; many += 1) {
    await Promise.resolve()
    after.push(begun.length)
    await turn()
  }
  expect(after).toEqual([8, 16, 24, 30, 30])
  expect(begun).toEqual(begun.toSorted((a, b) => a - b))
})

test("eight that take long are all that are carried out, each that is done lets one more begin, and a lone one never waits", async () => {
  const turns = new ReadTurns(() => true)
  let begun = 0
  for (let many = 0; many < 12; many += 1) turns.begin(() => (begun += 1))
  await turn()
  expect(begun).toBe(8)
  turns.done()
  expect(begun).toBe(9)
  for (let many = 0; many < 11; many += 1) {
    await turn()
    turns.done()
  }
  expect(begun).toBe(12)
  await turn()
  turns.begin(() => (begun += 1))
  expect(begun).toBe(13)
})

test("none begins without room, and none once nobody hears it", async () => {
  let [room, begun] = [false, 0]
  const turns = new ReadTurns(() => room)
  for (let many = 0; many < 20; many += 1) turns.begin(() => (begun += 1))
  await turn()
  expect(begun).toBe(0)
  room = true
  turns.next()
  expect(begun).toBe(8)
  turns.end()
  for (let many = 0; many < 8; many += 1) turns.done()
  await turn()
  expect(begun).toBe(8)
})
