import { Session } from "node:inspector/promises"
import { expect, test } from "vitest"
import { renderTable } from "./table.ts"
import { Terminal } from "./terminal.ts"

const terminal = new Terminal({ colour: false })
const columns = [{ head: "task" }, { head: "tries", right: true }, { head: "title" }]

test("columns stand under each other from the first row to the last, however many there are", () => {
  const rows = Array.from({ length: 1_001 }, (_, at) => [at === 700 ? "the-longest-name-of-all" : `t${at}`, at, "T 界"])
  const lines = renderTable(terminal, columns, rows).split("\n")
  expect(lines).toHaveLength(1_002)
  expect(lines[0]).toMatch(/^task +tries {2}title$/)
  for (const [at, line] of lines.entries()) expect(line.slice(0, 30)).toMatch(at === 0 ? /tries$/ : new RegExp(` ${at - 1}$`))
})

test("a table of 10,000 rows is drawn whole, with a few calls of functions a cell", async () => {
  const rows = Array.from({ length: 10_000 }, (_, at) => [`t${at}`, at, "T"])
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })
  const table = renderTable(terminal, columns, rows)
  const { result } = await session.post("Profiler.takePreciseCoverage")
  session.disconnect()
  expect(table.split("\n")).toHaveLength(10_001)
  const calls = result.flatMap(({ functions }) => functions.map(({ ranges }) => ranges[0]?.count ?? 0)).reduce((sum, count) => sum + count, 0)
  expect(calls / (rows.length * columns.length)).toBeLessThan(12)
  expect(calls).toBeGreaterThan(rows.length)
})

test("what takes two columns of a terminal, or none, is measured so, and colour takes none", () => {
  const red = (text: string): string => `\x1b[31m${text}\x1b[39m`
  const rows = ["界界", "e\u0301", "👩‍👩‍👧", "four"].map((name, at) => [{ text: name, paint: red }, at, name])
  expect(renderTable(terminal, columns, rows).replaceAll("\x1b[31m", "").replaceAll("\x1b[39m", "")).toBe(
    ["task  tries  title", "界界      0  界界", "e\u0301         1  e\u0301", "👩‍👩‍👧        2  👩‍👩‍👧", "four      3  four"].join("\n"),
  )
})

test("on a narrower terminal what may be cut gives way, the widest first, and a pipe gets all of it", () => {
  const wide = [{ head: "task", max: 40 }, { head: "state" }, { head: "title", max: 80 }]
  const rows = [
    ["t1", "in progress", "x".repeat(70)],
    ["a-long-name-of-a-task", "ready", "short"],
  ]
  const drawn = (columns: number, isLive = true): string[] =>
    renderTable(Object.defineProperties(new Terminal({ colour: false }), { isLive: { value: isLive }, columns: { value: columns } }), wide, rows).split("\n")
  expect(drawn(120)[1]).toContain("x".repeat(70))
  expect(drawn(20, false)[1]).toContain("x".repeat(70))
  expect(Math.max(...drawn(80).map((line) => line.length))).toBe(80)
  expect(drawn(80)[2]).toBe("a-long-name-of-a-task  ready        short")
  // Neither goes below eight characters: what is left is too wide, and still whole.
  expect(drawn(20).slice(1)).toEqual(["t1        in progress  xxxxxxx…", "a-long-…  ready        short"])
})

test("what is read whole goes on in the next line of a narrower terminal, under its head, and a pipe gets it in one", () => {
  const wide = [
    { head: "number", right: true },
    { head: "means", wraps: true },
  ]
  const drawn = (isLive: boolean): string[] =>
    renderTable(Object.defineProperties(new Terminal({ colour: false }), { isLive: { value: isLive }, columns: { value: 32 } }), wide, [
      [5, "failures in a row that open it"],
      [10, "outcomes"],
    ]).split("\n")
  expect(drawn(true)).toEqual(["number  means", "     5  failures in a row that", "        open it", "    10  outcomes"])
  expect(drawn(false)[1]).toBe("     5  failures in a row that open it")
})
