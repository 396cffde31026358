import { oc } from "@orpc/contract"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations, type Operations } from "../contract/operations.ts"

type Noun = OperationName extends `${infer First}.${string}` ? First : never
type Verb<N extends string> = OperationName extends infer Name ? (Name extends `${N}.${infer Rest}` ? Rest : never) : never
type Procedure<Name extends OperationName> = ReturnType<typeof procedureOf<Name>>

function procedureOf<Name extends OperationName>(name: Name) {
  const { summary, text, input, output } = operations[name]
  const [noun = "", verb = ""] = name.split(".")
  const route = { method: "POST", path: `/${noun}/${verb}`, operationId: name, tags: [noun], summary, description: text, successDescription: "Done." } as const
  return oc
    .route(route)
    .input(input as Operations[Name]["input"])
    .output(output)
}

/** The contract as oRPC knows it, nested by noun (`router.task.claim`): its OpenAPI document, and the types of its clients, are made from this. */
export const router = nested() as { [N in Noun]: { [V in Verb<N>]: Procedure<`${N}.${V}` & OperationName> } }

function nested(): Record<string, Record<string, unknown>> {
  const nouns: Record<string, Record<string, unknown>> = {}
  for (const name of Object.keys(KINDS) as OperationName[]) {
    const [noun = "", verb = ""] = name.split(".")
    const verbs = (nouns[noun] ??= {})
    verbs[verb] = procedureOf(name)
  }
  return nouns
}
