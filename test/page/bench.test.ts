import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { benchPage, describePage, latenciesOf } from "../../bench/page.ts"
import { inChromium } from "./page-rig.ts"

/** The bench at its smallest, so that it cannot rot. No figure is judged here: they depend on the machine. */

let directory = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "skein-page-bench-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test("a note is on the page with the first frame that shows it, or a later one of its agent; one that never comes is a fault", () => {
  const note = (agent: string, number: number, atMs: number): { agent: string; number: number; atMs: number } => ({ agent, number, atMs })
  const seen = [note("a", 2, 20), note("b", 1, 25), note("a", 3, 40)]
  expect(latenciesOf([note("a", 1, 5), note("a", 2, 10), note("a", 3, 15), note("b", 1, 24)], seen)).toEqual([15, 10, 25, 1])
  expect(() => latenciesOf([note("b", 2, 30)], seen)).toThrow("note 2 of b never came to the page")
})

inChromium(
  "every event comes to the page, and each figure has a value and a verdict",
  async () => {
    const report = await benchPage({ directory, agents: 3, tasks: 12, rounds: 1, perSecond: 30, paceMs: 400, panSteps: 40, entries: 60 })
    expect(report.weight.allKb).toBeGreaterThan(report.weight.firstKb)
    expect(report.paint.p50Ms).toBeGreaterThan(0)
    expect(report.pixel.count).toBeGreaterThan(5)
    expect(report.memory.heapMb).toHaveLength(10)
    expect(Object.values(report.gate).every(({ ok }) => ok !== null)).toBe(true)
    expect(describePage(report)).toContain("event to pixel")
  },
  120_000,
)
