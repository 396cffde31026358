import { expect, test } from "vitest"
import { KINDS } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"
import { openApiDocument } from "../surface/openapi.ts"
import { inputOf, type Verb, verbsFor, verbsOf } from "./verbs.ts"

const { paths } = (await openApiDocument("0", () => Promise.resolve())) as unknown as { paths: Record<string, { post: Parameters<typeof verbsOf>[0][number] }> }
const all = verbsOf(Object.values(paths).map(({ post }) => post))
const verb = (name: string): Verb => all.find((one) => one.name === name) as Verb

test("every operation of the contract that changes something is a verb, and none that only looks", () => {
  const changing = Object.entries(KINDS).flatMap(([name, kind]) => (kind === "command" || kind === "action" ? [name] : []))
  expect(all.map(({ name }) => name).sort()).toEqual(changing.sort())
})

test("each role is offered what it may do", () => {
  expect(verbsFor(all, "operator")).toHaveLength(all.length)
  const observer = verbsFor(all, "observer").map(({ name }) => operations[name].least)
  expect(new Set(observer)).toEqual(observer.length === 0 ? new Set() : new Set(["observer"]))
})

test("fields are of the kind that their schema asks for, what is required first", () => {
  const kinds = Object.fromEntries(verb("task.add").fields.map(({ name, kind }) => [name, kind]))
  expect(kinds).toMatchObject({ title: "text", body: "lines", priority: "choice", dependsOn: "list", requires: "json", budgetMicroUsd: "number" })
  expect(verb("task.add").fields.find(({ name }) => name === "title")).toMatchObject({ isRequired: true })
  expect(verb("budget.set").fields.find(({ name }) => name === "limitMicroUsd")).toMatchObject({ kind: "number", min: 0, max: 1e12 })
})

test("a filled form is an input that the contract takes; what was left empty is left out", () => {
  const { fields } = verb("task.add")
  const input = inputOf(fields, {
    id: "mend",
    title: "Mend it",
    body: "",
    priority: "high",
    dependsOn: "a\n\nb",
    requires: '{"sql":2}',
    budgetMicroUsd: "500000",
  })
  expect(input).toEqual({ id: "mend", title: "Mend it", priority: "high", dependsOn: ["a", "b"], requires: { sql: 2 }, budgetMicroUsd: 500_000 })
  expect(operations["task.add"].input.safeParse(input).success).toBe(true)
  expect(inputOf(fields, {})).toEqual({ id: "", title: "" })
  expect(() => inputOf(fields, { id: "x", title: "x", requires: "{sql" })).toThrow("requires is no JSON")
})
