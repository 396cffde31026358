import { expect, test } from "vitest"
import { Foresight } from "./foresight.ts"

test("however many ask, git is asked once in ten seconds, and again after a failure", async () => {
  const asked: (readonly string[])[] = []
  const foresight = new Foresight((agents) => {
    asked.push(agents)
    return asked.length === 2 ? Promise.reject(new Error("git is away")) : Promise.resolve([{ a: "ann", b: "bob", files: ["a.ts"] }])
  })
  const [first, second] = await Promise.all([foresight.look(["ann", "bob"], 0), foresight.look(["ann"], 9_999)])
  expect(first).toEqual({ conflicts: [{ a: "ann", b: "bob", files: ["a.ts"] }], atMs: 0 })
  expect(second).toEqual(first)
  await expect(foresight.look(["ann"], 10_000)).rejects.toThrow("git is away")
  expect((await foresight.look(["cat"], 10_001)).atMs).toBe(10_001)
  expect(asked).toEqual([["ann", "bob"], ["ann"], ["cat"]])
})
