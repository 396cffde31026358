import { expect, test } from "vitest"
import { type Client, connect } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import { startInstance } from "../surface/served.contract.ts"
import { PermissionDesk, type PermissionRule, ruleFor } from "./permission-desk.ts"

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

test("is put to the operator once, also where the hub's word that it was taken is lost", async () => {
  const instance = await startInstance({ level: "silent" })
  const client = await connect({ url: instance.url, credential: await instance.agent("keeper", { role: "supervisor" }) })
  try {
    await instance.agent("ada")
    const answered = new AbortController()
    let lost = 0
    const call: Client["call"] = async (name, input, options) => {
      const answer = await client.call(name, input, options)
      if (name === "permission.ask" && (lost += 1) === 1) throw new SkeinError("timed_out", "the answer was lost", "Ask again.")
      return answer
    }
    const desk = new PermissionDesk({
      hub: { call },
      rules: [],
      session: () => null,
      told: (line) => line.includes("skein permission answer") && answered.abort(),
    })
    expect(await desk.ask(request, answered.signal)).toBeNull()
    expect(lost).toBe(2)
    expect((await client.permission.list({ open: false })).permissions.map(({ status }) => status)).toEqual(["withdrawn"])
  } finally {
    await client.close()
    await instance.close()
  }
})
