import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { reserve, team, wish } from "../../test/file-wishes.ts"
import { fold, Scenario } from "../../test/scenario.ts"
import { type Actor, HUB } from "./entry.ts"
import type { FileConflict } from "./file-conflict.ts"
import { globOf, intersects, matches } from "./glob-match.ts"
import { isRefusal } from "./refusal.ts"
import { mark, takeSnapshot, fromSnapshot, undoTo } from "./workspace.ts"

const sweep = { beats: [], silent: [] }

const GLOBS = ["**", "src/**", "src/*.ts", "src/a.ts", "src/{a,b}.ts", "lib/**", "**/*.ts", "l?b/*", "docs/", "[ls]*/a.ts", "x/y/z"]
const TREE = ["a.ts", "src", "src/a.ts", "src/b.ts", "src/c.md", "src/d/a.ts", "lib/a.ts", "lib/x/y", "docs/a", "x/y/z", "x/y"]

describe("the index of who holds what", () => {
  const move = fc.record({
    do: fc.constantFrom("reserve", "reserve", "release", "claim", "complete", "wait", "renew"),
    who: fc.nat(2),
    globs: fc.uniqueArray(fc.constantFrom(...GLOBS), { minLength: 1, maxLength: 3 }),
    shared: fc.boolean(),
    n: fc.nat(20),
  })

  it("answers as a look at every lease and every held task would, whatever happened, was undone, or was loaded again", () => {
    let conflicts = 0
    fc.assert(
      fc.property(fc.array(move, { minLength: 1, maxLength: 40, size: "max" }), (moves) => {
        const scenario = new Scenario()
        const actors = ["ann", "bob", "cat"].map((name) => scenario.agent(name, { maxActive: 9 }))
        for (const [at, { do: what, who, globs, shared, n }] of moves.entries()) {
          const actor = actors[who] as Actor
          const before = mark(scenario.state)
          const leases = [...scenario.state.files.keys()]
          const own = scenario.state.board.heldBy(actor.agent)
          if (what === "wait") {
            scenario.wait(n * 60_000)
            scenario.must("hub.sweep", HUB, { ...sweep, beats: actors.map(({ session }) => session as string).slice(0, who) })
          } else if (what === "release" && leases.length > 0)
            scenario.attempt("files.release", actor, { lease: leases[n % leases.length] as string, globs: null, reason: "r" })
          else if (what === "renew" && leases.length > 0) scenario.attempt("files.renew", actor, { lease: leases[n % leases.length] as string })
          else if (what === "complete" && own.length > 0) scenario.complete(actor, own[n % own.length]?.id as string)
          else if (what === "claim") {
            scenario.task(`t${at}`, { touches: globs })
            scenario.attempt("task.claim", actor, { task: `t${at}` })
          } else if (what === "reserve") {
            const mode = shared ? "shared" : "exclusive"
            const expected = held(scenario).filter(
              (other) => other.agent !== actor.agent && !(shared && other.shared) && globs.some((glob) => other.globs.some((theirs) => meets(glob, theirs))),
            )
            const outcome = scenario.attempt("files.reserve", actor, wish(globs, { mode, ttlMs: 600_000 }))
            expect(isRefusal(outcome)).toBe(expected.length > 0)
            if (isRefusal(outcome)) {
              conflicts += 1
              const named = (outcome.details["conflicts"] as FileConflict[]).map(({ agent }) => agent)
              expect(new Set(named)).toEqual(new Set(expected.map(({ agent }) => agent)))
            }
            if (!isRefusal(outcome) && n % 5 === 0) {
              undoTo(scenario.state, before)
              scenario.bytes.length = before.seq
            }
          }
          agrees(scenario)
        }
        expect(JSON.stringify(takeSnapshot(fold(scenario.bytes)))).toBe(JSON.stringify(takeSnapshot(scenario.state)))
        scenario.state = fromSnapshot(takeSnapshot(scenario.state))
        agrees(scenario)
      }),
      { numRuns: 150 },
    )
    expect(conflicts).toBeGreaterThan(50)
  })

  it("knows who is in a task's way after any number of changes, also those that it was not asked between", () => {
    const { scenario, ann, bob } = team()
    const { holdings } = scenario.state.board
    const touches = ["src/**"]
    reserve(scenario, ann, ["elsewhere"])
    for (const changes of [1, 63, 64, 65, 127, 128, 129, 300]) {
      const lease = reserve(scenario, ann, ["src/a.ts"])
      expect(holdings.obstruct(touches, "bob")).toBe(true)
      scenario.must("files.release", ann, { lease, globs: null, reason: "r" })
      for (let at = 1; at < changes; at += 1) {
        if (at % 2 === 1) reserve(scenario, bob, ["lib/x"])
        else scenario.must("files.release", bob, { lease: null, globs: null, reason: "r" })
      }
      scenario.must("files.release", bob, { lease: null, globs: null, reason: "r" })
      expect(holdings.obstruct(touches, "bob"), `${changes}`).toBe(false)
      expect(holdings.obstruct(touches, "ann")).toBe(false)
    }
  })
})

type Held = { agent: string; shared: boolean; globs: string[] }

function held({ state }: Scenario): Held[] {
  const leases = [...state.files.values()].map(({ agent, mode, globs }) => ({ agent, shared: mode === "shared", globs }))
  const tasks = [...state.tasks.values()].filter(({ status }) => ["claimed", "in_progress", "blocked", "review"].includes(status))
  return [...leases, ...tasks.map(({ id, owner }) => ({ agent: owner as string, shared: false, globs: state.specs.get(id)?.touches ?? [] }))]
}

function meets(a: string, b: string): boolean {
  const [one, other] = [globOf(a), globOf(b)]
  return one !== null && other !== null && intersects(one, other)
}

/** The very same lists each time: what is known of one is brought up to date. */
const TOUCHES = GLOBS.map((glob) => [glob, "nowhere"])

function agrees(scenario: Scenario): void {
  const all = held(scenario)
  for (const touches of TOUCHES) {
    for (const agent of ["ann", "bob", "cat"]) {
      const expected = all.some((other) => other.agent !== agent && touches.some((glob) => other.globs.some((theirs) => meets(glob, theirs))))
      expect(scenario.state.board.holdings.obstruct(touches, agent), `${agent} ${touches[0]}`).toBe(expected)
    }
  }
  for (const path of TREE) {
    const expected = all.filter(({ globs }) => globs.some((text) => matches(globOf(text) as never, path))).map(({ agent }) => agent)
    expect(
      scenario.state.board.holdings
        .at(path)
        .map(({ holding }) => holding.agent)
        .sort(),
      path,
    ).toEqual(expected.sort())
  }
  for (const [at, one] of all.entries()) {
    for (const other of all.slice(at + 1)) {
      if (one.agent === other.agent || (one.shared && other.shared)) continue
      expect(
        one.globs.some((a) => other.globs.some((b) => meets(a, b))),
        `${JSON.stringify(one)} and ${JSON.stringify(other)}`,
      ).toBe(false)
    }
  }
}
