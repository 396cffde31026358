import { afterEach, describe, expect, test } from "vitest"
import { ERRORS } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"
import { openApiDocument } from "./openapi.ts"
import { referencePage } from "./reference-page.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask } from "./wire.contract.ts"

let hub: Instance
afterEach(() => hub.close())

describe("/api", () => {
  test("the document has every operation with its errors, its role and its security", async () => {
    hub = await startInstance()
    const { body, status } = await ask(hub.url, "/api/openapi.json", { method: "GET" })
    expect(status).toBe(200)
    const { paths, components, security } = body as {
      paths: Record<string, { post: { operationId: OperationName; responses: Record<string, unknown>; requestBody?: unknown; "x-skein": unknown } }>
      components: Record<string, Record<string, unknown>>
      security: unknown
    }
    const documented = Object.values(paths).map(({ post }) => post)
    expect(documented.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(KINDS))
    for (const { operationId, responses, "x-skein": own } of documented) {
      for (const code of operations[operationId].errors) expect(JSON.stringify(responses[ERRORS[code].http]), `${operationId} ${code}`).toContain(code)
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(["200", "400", "401", "403", "429"]))
      expect(own).toEqual({ least: operations[operationId].least, kind: KINDS[operationId] })
    }
    expect(security).toEqual([{ token: [] }])
    expect(components["securitySchemes"]?.["token"]).toMatchObject({ type: "http", scheme: "bearer" })
    const claim = paths["/task/claim"]?.post
    expect(JSON.stringify(claim?.requestBody)).toContain('"task"')
    // Every reference leads somewhere.
    for (const [, path] of JSON.stringify(body).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      let at: unknown = body
      for (const step of (path ?? "").split("/")) at = (at as Record<string, unknown> | undefined)?.[step.replaceAll("~1", "/")]
      expect(at, path).toBeDefined()
    }
  })

  test("the page and the document are written in pieces, and others have their turns between", async () => {
    hub = await startInstance()
    let pauses = 0
    const pause = (): Promise<number> => Promise.resolve((pauses += 1))
    await referencePage("0", pause)
    expect(pauses).toBe(Object.keys(operations).length)
    await openApiDocument("0", pause)
    // Input and output of each.
    expect(pauses).toBeGreaterThanOrEqual(3 * Object.keys(operations).length)
  })

  test("the page needs no script and asks nobody else, and says so to the browser", async () => {
    hub = await startInstance()
    const { text, headers } = await ask(hub.url, "/api", { method: "GET" })
    for (const name of Object.keys(KINDS)) expect(text).toContain(`id="${name}"`)
    expect(text).not.toMatch(/<script|\son\w+=|javascript:|(src|href)="(https?:)?\/\//i)
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+'; /)
    expect(headers["x-content-type-options"]).toBe("nosniff")
  })

  test("the page is made once, however often anybody asks for it", async () => {
    hub = await startInstance()
    const { input } = operations["hub.metrics"]
    let made = 0
    Object.defineProperty(operations["hub.metrics"], "input", { configurable: true, get: () => ((made += 1), input) })
    try {
      for (let many = 0; many < 3; many += 1) expect((await ask(hub.url, "/api", { method: "GET" })).text).toContain("hub.metrics")
    } finally {
      Object.defineProperty(operations["hub.metrics"], "input", { configurable: true, enumerable: true, writable: true, value: input })
    }
    expect(made).toBe(1)
  })
})
