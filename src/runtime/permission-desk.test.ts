import { expect, test } from "vitest"
import { type PermissionRule, ruleFor } from "./permission-desk.ts"

const request = {
  agent: "ada",
  session: "c",
  title: "npm test",
  kind: "execute",
  options: [
    { id: "1", name: "Once", kind: "allow_once" },
    { id: "2", name: "Always", kind: "allow_always" },
    { id: "3", name: "No", kind: "reject_once" },
  ],
}

test.each<[PermissionRule[], { name: string; option: string | null } | null]>([
  [[], null],
  [[{ answer: "allow_once" }], { name: "permissions[0]", option: "1" }],
  [[{ answer: "allow_always" }], { name: "permissions[0]", option: "2" }],
  [[{ agents: ["bob"], answer: "allow_once" }], null],
  [
    [
      { kinds: ["read"], answer: "allow_once" },
      { agents: ["ada"], kinds: ["execute"], title: "^npm (test|run)", answer: "reject_once" },
    ],
    { name: "permissions[1]", option: "3" },
  ],
  [[{ title: "test", answer: "ask" }, { answer: "allow_always" }], null],
  [[{ answer: "reject_always" }], { name: "permissions[0]", option: "3" }],
])("the first rule that fits decides: %j", (rules, decision) => {
  expect(ruleFor(rules, request)).toEqual(decision)
})

test("a rule that would allow what is not offered leaves it to the operator, one that rejects refuses all the same", () => {
  const options = [{ id: "2", name: "Always", kind: "allow_always" }]
  expect(ruleFor([{ answer: "allow_once" }], { ...request, options })).toBeNull()
  expect(ruleFor([{ answer: "reject_once" }], { ...request, options })).toEqual({ name: "permissions[0]", option: null })
})
