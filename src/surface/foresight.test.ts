import { expect, test } from "vitest"
import { Foresight } from "./foresight.ts"

test("however many ask, git is asked once in ten seconds, and again after a failure", async () => {
  const here = {}
  const asked: (readonly string[])[] = []
  const foresight = new Foresight((agents) => {
    asked.push(agents)
    return asked.length === 2 ? Promise.reject(new Error("git is away")) : Promise.resolve([{ a: "ann", b: "bob", files: ["a.ts"] }])
  })
  const [first, second] = await Promise.all([foresight.look(here, ["ann", "bob"], 0), foresight.look(here, ["ann"], 9_999)])
  expect(first).toEqual({ conflicts: [{ a: "ann", b: "bob", files: ["a.ts"] }], atMs: 0 })
  expect(second).toEqual(first)
  await expect(foresight.look(here, ["ann"], 10_000)).rejects.toThrow("git is away")
  expect((await foresight.look(here, ["cat"], 10_001)).atMs).toBe(10_001)
  expect(asked).toEqual([["ann", "bob"], ["ann"], ["cat"]])
})

test("each workspace is told of its own agents alone, however soon after another", async () => {
  const foresight = new Foresight((agents) => Promise.resolve([{ a: agents[0] as string, b: agents[1] as string, files: [`${agents[0]}.ts`] }]))
  const [one, other] = [{}, {}]
  expect((await foresight.look(one, ["ann", "bob"], 0)).conflicts).toEqual([{ a: "ann", b: "bob", files: ["ann.ts"] }])
  expect((await foresight.look(other, ["cat", "dan"], 1)).conflicts).toEqual([{ a: "cat", b: "dan", files: ["cat.ts"] }])
  expect((await foresight.look(one, ["ann", "bob"], 2)).atMs).toBe(0)
})
