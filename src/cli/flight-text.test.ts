import { expect, test } from "vitest"
import { type Flight, flightLines, type Sight, type Status } from "./flight-text.ts"
import { Terminal } from "./terminal.ts"

const terminal = new Terminal({ colour: false })
const LEASE_MS = 65_000

function sight({ reason = "needs its table", note = "half way" }: { reason?: string; note?: string } = {}): Sight {
  const status: Status = {
    workspace: "main",
    nowMs: 0,
    head: { seq: 12, hash: "ab".repeat(32) },
    checkpoint: null,
    counts: { pending: 3, ready: 1, in_progress: 1, blocked: 1, completed: 2 },
    agents: [{ name: "ada", role: "worker", presence: "active", busy: true, tasks: ["p.1/a"], sessions: [] }],
    plans: [],
    alerts: [{ kind: "failed_task", text: "p.1/z failed", remedy: "skein task reset p.1/z", task: "p.1/z", agent: null, about: null }],
  }
  const flight: Flight = {
    seq: 12,
    nowMs: 0,
    agents: [
      {
        name: "ada",
        kind: "claude",
        tasks: [{ id: "p.1/a", title: "A", state: "in_progress", progress: 0.4, leaseEndsAtMs: LEASE_MS }],
        words: { text: `${note}\nand a second line`, atMs: 0, task: "p.1/a" },
        costMicroUsd: 1_500_000,
      },
    ],
    blocked: [{ id: "p.1/b", title: "B", owner: "bob", on: { kind: "task", ref: "p.1/a", reason }, by: "ada", sinceSeq: 9, updatedAtMs: 0 }],
    obstacles: [{ id: "p.1/a", title: "A", state: "in_progress", owner: "ada", waiting: 2 }],
    costMicroUsd: 1_500_000,
  }
  return { url: "http://127.0.0.1:7700", status, flight, heardAtMs: performance.now() }
}

test("the terminal has what the page's Flight has: alerts first, then what is held up by whom, then who does what", () => {
  const lines = flightLines(terminal, sight())
  expect(lines[1]).toBe("tasks: 1 ready, 1 in progress, 1 blocked, 2 completed, 2 waiting · cost $1.50")
  const at = (text: string): number => lines.findIndex((line) => line.includes(text))
  const places = ["! p.1/z failed", "blocked p.1/b of bob on task p.1/a (ada has it): needs its table", "in progress p.1/a of ada: 2 tasks wait for it"].map(at)
  expect(places.every((place) => place > 1)).toBe(true)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
  expect(lines.at(-1)).toMatch(/^ada +active +p\.1\/a +in progress 40 % +1 min 5 s +half way +\$1\.50$/)
})

test("a lease counts down while nothing new is heard, and is over then", () => {
  const now = sight()
  expect(flightLines(terminal, { ...now, heardAtMs: now.heardAtMs - 45_000 }).at(-1)).toContain("20 s")
  expect(flightLines(terminal, { ...now, heardAtMs: now.heardAtMs - 90_000 }).at(-1)).toMatch(/ over +half way/)
})

test("what agents write cannot steer the terminal", () => {
  const text = flightLines(terminal, sight({ reason: "\x1b[31mred\x1b]0;title\x07", note: "\x1b[2J\u202egone" })).join("\n")
  expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/)
  expect(text).toContain("red")
})
