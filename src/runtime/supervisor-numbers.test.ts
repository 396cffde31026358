import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { expect, test } from "vitest"
import { startProcess } from "./process.ts"
import {
  isBeforeNextLook,
  quotaEndMs,
  restartPauseMs,
  resumesAfter,
  SUPERVISOR_DEFAULTS,
  SUPERVISOR_NUMBERS,
  type SupervisorNumber,
} from "./supervisor-numbers.ts"

/** What a number decides, one step before its boundary and at it. */
type Sides = { before: unknown; at: unknown }
type Boundary = { set: number; look(numbers: Readonly<Record<SupervisorNumber, number>>, set: number): Sides | Promise<Sides> }

const NOW = 10_000_000
const deaths = (count: number, atMs = NOW): number[] => Array.from({ length: count }, () => atMs)

const BOUNDARIES: Readonly<Record<SupervisorNumber, Boundary>> = {
  reconcileMs: { set: 700, look: (numbers, set) => ({ before: !isBeforeNextLook(set - 1, numbers), at: !isBeforeNextLook(set, numbers) }) },
  restartMs: {
    set: 300,
    look(numbers, set) {
      const pauses = [1, 2, 3].map((count) => restartPauseMs(deaths(count), NOW, numbers))
      expect(pauses).toEqual([set, 2 * set, 4 * set])
      return { before: NOW + set - 1 >= NOW + (pauses[0] ?? 0), at: NOW + set >= NOW + (pauses[0] ?? 0) }
    },
  },
  restartMaxMs: {
    set: 4_000,
    look: (numbers, set) => ({ before: restartPauseMs(deaths(2), NOW, numbers) === set, at: restartPauseMs(deaths(3), NOW, numbers) === set }),
  },
  restarts: {
    set: 2,
    look: (numbers, set) => ({ before: restartPauseMs(deaths(set), NOW, numbers) === null, at: restartPauseMs(deaths(set + 1), NOW, numbers) === null }),
  },
  restartWindowMs: {
    set: 5_000,
    look(numbers, set) {
      const isForgotten = (ageMs: number): boolean => restartPauseMs([NOW - ageMs, NOW], NOW, numbers) === numbers.restartMs
      return { before: isForgotten(set - 1), at: isForgotten(set) }
    },
  },
  restartResumes: {
    set: 1,
    look: (numbers, set) => ({ before: !resumesAfter(deaths(set), NOW, numbers), at: !resumesAfter(deaths(set + 1), NOW, numbers) }),
  },
  quotaMs: {
    set: 9_000,
    look(numbers, set) {
      expect(quotaEndMs(NOW + 5, NOW, numbers), "a time that is named comes first").toBe(NOW + 5)
      const farMs = NOW + 30 * 86_400_000
      expect(quotaEndMs(farMs, NOW, numbers), "as far away as the hub believes").toBe(farMs)
      expect(quotaEndMs(farMs + 1, NOW, numbers), "further away than that it is no time").toBe(NOW + set)
      const endMs = quotaEndMs(NOW - 5, NOW, numbers)
      return { before: NOW + set - 1 >= endMs, at: NOW + set >= endMs }
    },
  },
  stopMs: {
    set: 400,
    async look(_, set) {
      // Deaf to SIGTERM: it is killed, and not before its time.
      const argv = [process.execPath, "-e", "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)"] as const
      let up = (): void => {}
      const isUp = new Promise<void>((settle) => (up = settle))
      const child = await startProcess({ name: "deaf", argv: [...argv], cwd: tmpdir(), env: {}, onOutput: () => up() })
      await isUp
      const fromMs = performance.now()
      await child.stop({ graceMs: set })
      const tookMs = performance.now() - fromMs
      return { before: tookMs < set - 1, at: (await child.exited).signal === "SIGKILL" }
    },
  },
}

test.for(Object.entries(BOUNDARIES) as [SupervisorNumber, Boundary][])("%s decides at its boundary and not before", async ([name, { set, look }]) => {
  expect(set).not.toBe(SUPERVISOR_NUMBERS[name].is)
  const { before, at } = await look({ ...SUPERVISOR_DEFAULTS, [name]: set }, set)
  expect({ before: Boolean(before), at: Boolean(at) }).toEqual({ before: false, at: true })
})

test("each number stands on the page, as it is", () => {
  const page = readFileSync("docs/how-to/wake-agents.md", "utf8")
  for (const [name, { is, min, max, means }] of Object.entries(SUPERVISOR_NUMBERS))
    expect(page).toContain(`| \`${name}\` | ${is} | ${min} | ${max} | ${means} |`)
})
