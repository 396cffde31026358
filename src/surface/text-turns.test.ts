import { expect, test } from "vitest"
import { LONG_TEXT_BYTES, TextTurns } from "./text-turns.ts"

test("long texts are taken up one a turn, in their order; short ones at once", () => {
  const soon: (() => void)[] = []
  const turns = new TextTurns((call) => soon.push(call))
  const taken: string[] = []
  const send = (name: string, bytes: number): void => turns.begin(bytes, () => taken.push(name))
  for (const name of ["a", "b", "c"]) send(name, LONG_TEXT_BYTES + 1)
  send("short", LONG_TEXT_BYTES)
  expect(taken).toEqual(["a", "short"])
  const turn = (): void => soon.splice(0).forEach((call) => call())
  turn()
  expect(taken).toEqual(["a", "short", "b"])
  // Nobody overtakes whoever waits.
  send("d", LONG_TEXT_BYTES + 1)
  turn()
  turn()
  expect(taken).toEqual(["a", "short", "b", "c", "d"])
  turn()
  expect(soon).toEqual([])
  send("e", LONG_TEXT_BYTES + 1)
  expect(taken.at(-1)).toBe("e")
})
