import { describe, expect, test } from "vitest"
import { loadCedar } from "./cedar-library.ts"
import { type Reads, readsOf } from "./policy-reads.ts"

const cedar = loadCedar()

function reads(text: string): Reads {
  const answer = cedar.policyToJson(text)
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message)
  return readsOf([answer.json])
}

const when = (condition: string): Reads => reads(`permit (principal, action, resource) when { ${condition} };`)

describe("what a rule reads", () => {
  test("is nothing where it only asks for roles and types", () => {
    const { principal, resource, context } = reads(
      `permit (principal in Role::"worker", action in Action::"claim", resource is Task) when { principal in Role::"observer" && resource is Task };`,
    )
    expect([principal.attributes?.size, resource.attributes?.size, context.attributes?.size]).toEqual([0, 0, 0])
    expect([principal.uid, resource.uid, principal.tags]).toEqual([false, false, false])
  })

  test("is who or what it is, wherever it asks for that", () => {
    for (const text of [`principal == Agent::"ann"`, `resource == principal`, `[Agent::"ann"].contains(principal)`, `principal in [Agent::"ann"]`])
      expect(when(text).principal.uid, text).toBe(true)
    expect(reads(`permit (principal == Agent::"ann", action, resource);`).principal.uid).toBe(true)
    expect(reads(`permit (principal, action, resource in Task::"p");`).resource.uid).toBe(true)
    expect(reads(`permit (principal, action, resource is Task in Task::"p");`).resource.uid).toBe(true)
    expect(when(`resource in [Plan::"p", Task::"t"]`).resource.uid).toBe(true)
  })

  test("is the plan, and no name, wherever it asks for a plan alone", () => {
    for (const text of [
      `permit (principal, action, resource in Plan::"p");`,
      `permit (principal, action, resource is Task in Plan::"p");`,
      `permit (principal, action, resource) when { resource in Plan::"p" };`,
    ])
      expect(reads(text).resource, text).toMatchObject({ plan: true, uid: false })
  })

  test("is each attribute that it names, in every form that it can be named in", () => {
    const forms = [
      "principal.a == 1",
      "!(principal.a)",
      "-(principal.a) < 2",
      "principal has a",
      'principal.a like "x*"',
      "principal.a.contains(1)",
      "principal.a.containsAll([1])",
      "principal.a.isEmpty()",
      "if principal.a then true else false",
      "if true then principal.a else false",
      "[principal.a].contains(1)",
      "1 + principal.a * 2 > 3",
      "ip(principal.a).isIpv4()",
      "{ x: principal.a } == { x: 1 }",
      'principal has "a"',
      'principal["a"] == 1',
    ]
    for (const form of forms) {
      const { attributes } = when(form).principal
      expect(attributes === null || attributes.has("a"), form).toBe(true)
    }
  })

  test("is everything where its form is not known here: what is too much costs time, what is too little would be wrong", () => {
    for (const form of ["context == {}", "principal.a.b == 1", "principal has a.b", "{ x: principal.a } == { x: 1 }"]) {
      const { principal, resource, context } = when(form)
      expect([principal.attributes, resource.attributes, context.attributes], form).toEqual([null, null, null])
      expect([principal.uid, resource.uid, principal.tags, resource.tags]).toEqual([true, true, true, true])
    }
  })

  test("is the tags where it asks for one", () => {
    expect(when('principal.hasTag("ts")')).toMatchObject({ principal: { tags: true }, resource: { tags: false } })
    expect(when("resource.getTag(principal.kind) > 1")).toMatchObject({ principal: { tags: false, attributes: new Set(["kind"]) }, resource: { tags: true } })
  })
})
