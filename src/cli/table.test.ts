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

test("a table of 10,000 rows is drawn whole", () => {
  const rows = Array.from({ length: 10_000 }, (_, at) => [`t${at}`, at, "T"])
  expect(renderTable(terminal, columns, rows).split("\n")).toHaveLength(10_001)
})
