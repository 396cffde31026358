import { expect, test } from "vitest"
import { operations } from "../contract/operations.ts"
import { invalidInput } from "./invalid-input.ts"

test("of a key that is none it is said what is wrong with it, as of a value", () => {
  const told = (requires: Record<string, number>): string => {
    const { error } = operations["task.add"].input.safeParse({ id: "a", title: "A", requires })
    return error === undefined ? "" : invalidInput("task.add", error).message
  }
  expect(told({ "a\ud83d": 1 })).toMatch(/requires\.a.*: Half of a character .* or leave it out$/)
  expect(told({ "a\nb": 1 })).toMatch(/: Control characters .* not allowed here$/)
  expect(told({ "": 1 })).toMatch(/: it is empty$/)
  expect(told({ a: 9 })).toMatch(/requires\.a: Too big/)
})
