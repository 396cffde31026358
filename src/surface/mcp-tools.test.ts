import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { KINDS, type OperationName } from "../contract/names.ts"
import { CORE, MORE_TOOLS, RESOURCES, TOOLS } from "../contract/tools.ts"
import { operations } from "../contract/operations.ts"
import { mcpPage } from "../../scripts/mcp-reference.ts"
import { coreTools, operationMeant, toolRows } from "./mcp-tools.ts"

test("every operation has a tool, or says by null that models have no business with it: secrets, others' terminals, and the policy that they are held by", () => {
  expect(Object.keys(TOOLS).sort()).toEqual(Object.keys(KINDS).sort())
  const secret = (Object.keys(TOOLS) as OperationName[]).filter((name) => TOOLS[name] === null)
  const rules = Object.keys(KINDS).filter((name) => name.startsWith("policy."))
  expect(secret).toEqual(["credential.issue", ...rules, "terminal.report", "terminal.show", "token.mint"])
  const reached = [...toolRows().values()].flatMap((row) => row.operations)
  expect([...reached, ...secret].sort()).toEqual(Object.keys(KINDS).sort())
})

test("names are short and in snake_case, and no two tools share one", () => {
  const names = [...toolRows().keys(), MORE_TOOLS.tool]
  expect(names.filter((name) => !/^[a-z]+(?:_[a-z]+){1,3}$/.test(name) || name.length > 24)).toEqual([])
  expect(new Set(names).size).toBe(names.length)
})

test("the core tier is at most 12 tools, and its whole schema under 12 KB of JSON: fewer than 3,000 tokens", () => {
  const tools = coreTools()
  const bytes = Buffer.byteLength(JSON.stringify({ tools }))
  console.log(`core tier: ${tools.length} tools, ${bytes} bytes of JSON`)
  expect(tools.length).toBeLessThanOrEqual(12)
  expect(bytes).toBeLessThan(12_000)
  for (const { name } of CORE.map(({ tool }) => ({ name: tool }))) expect(toolRows().get(name)?.operations.length, name).toBeGreaterThan(0)
})

test("every field that an operation needs is in the schema of its tool", () => {
  for (const { tool, operations: names, inputSchema } of toolRows().values()) {
    for (const name of names) {
      const needed = operations[name].input.safeParse({}).error?.issues.map(({ path }) => String(path[0])) ?? []
      expect(Object.keys(inputSchema.properties), `${tool}: ${name}`).toEqual(expect.arrayContaining(needed))
      if (names.length === 1) expect([...(inputSchema.required ?? [])].sort(), tool).toEqual(needed.sort())
    }
  }
})

test("which operation a tool means, its arguments say", () => {
  const row = toolRows().get("claim_task")!
  expect(operationMeant(row, { task: "t1", waitMs: 5 })).toEqual({ name: "task.claim", input: { task: "t1" } })
  expect(operationMeant(row, { waitMs: 5 })).toEqual({ name: "task.claimNext", input: { waitMs: 5 } })
  expect(operationMeant(row, { explode: 1 })).toEqual({ name: "task.claimNext", input: { explode: 1 } })
})

test("a resource reads, and its field is one that its operation takes", () => {
  for (const { operation, field } of RESOURCES) {
    expect(KINDS[operation]).toBe("read")
    if (field !== null) expect(Object.keys(operations[operation].input.shape)).toContain(field)
  }
})

test("the reference of the tools is as the contract has them", () => {
  expect(readFileSync("docs/reference/mcp.md", "utf8"), "node scripts/mcp-reference.ts writes it").toBe(mcpPage())
})
