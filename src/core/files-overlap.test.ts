import { expect, test } from "vitest"
import { Scenario } from "../../test/scenario.ts"
import { overlapsOf } from "./files-overlap.ts"

test("a ready task whose files somebody holds waits for them, with an example of a path", () => {
  const s = new Scenario()
  const ann = s.agent("ann")
  s.task("held", { touches: ["src/**"] })
  s.task("ready", { touches: ["lib/x.ts", "src/a/*.ts"] })
  s.task("apart", { touches: ["test/**"] })
  s.task("later", { touches: ["src/b.ts"], dependsOn: ["apart"] })
  expect(overlapsOf(s.state)).toEqual([])
  s.claim(ann, "held")
  const [found, ...more] = overlapsOf(s.state)
  expect(more).toEqual([])
  expect(found).toMatchObject({ task: "ready", agent: null, other: "ann", glob: "src/a/*.ts", theirs: "src/**" })
  expect(found?.path).toMatch(/^src\/a\/.*\.ts$/)
})

test("agents that hold the same files shared are told once for each pair, and nobody of its own leases", () => {
  const s = new Scenario()
  const reserve = (agent: string, globs: string[]): void => {
    s.must("files.reserve", s.agent(agent), { globs, mode: "shared", ttlMs: 60_000, reason: "r", task: null, fence: null })
  }
  reserve("bob", ["src/**"])
  reserve("ann", ["src/a.ts"])
  reserve("ann", ["src/*.ts"])
  expect(overlapsOf(s.state).map(({ agent, other, glob, theirs }) => [agent, other, glob, theirs])).toEqual([
    ["ann", "bob", "src/a.ts", "src/**"],
    ["ann", "bob", "src/*.ts", "src/**"],
  ])
})
