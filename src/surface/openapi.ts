import { OpenAPIGenerator } from "@orpc/openapi"
import * as z from "zod"
import { ERRORS } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { errorsOf, operations } from "../contract/operations.ts"
import { router } from "./router.ts"

type Json = Record<string, unknown>

const errorSchema: Json = {
  type: "object",
  description: "Why not, and what to do about it.",
  required: ["code", "message", "remedy", "details", "retryAfterMs"],
  properties: {
    code: { type: "string", enum: Object.keys(ERRORS) },
    message: { type: "string" },
    remedy: { type: "string", description: "The next step, as a sentence." },
    details: { type: "object", description: "What the message names, for programs." },
    retryAfterMs: { type: ["integer", "null"], description: "How long to wait before trying again, in ms, where trying again can help." },
  },
}

const headers: Json = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description: "Makes the command safe to send again for 24 h: the same key answers what the first one did.",
    schema: { type: "string", pattern: "^[A-Za-z0-9._:-]{1,128}$" },
  },
  Workspace: {
    name: "Skein-Workspace",
    in: "header",
    description: "The workspace; the token's own unless an operator's credential is sent.",
    schema: { type: "string" },
  },
  Session: { name: "Skein-Session", in: "header", description: "One of the caller's own sessions; binds the call to it.", schema: { type: "string" } },
}

/** The OpenAPI document: every operation with its errors, remedies, roles and security. `pause` lets others have their turns, between any two schemas. */
export async function openApiDocument(version: string, pause: () => Promise<unknown>): Promise<Json> {
  const generator = new OpenAPIGenerator({
    schemaConverters: [
      {
        condition: () => true,
        convert: async (schema, { strategy }) => {
          await pause()
          return [true, z.toJSONSchema(schema as unknown as z.ZodType, { io: strategy, unrepresentable: "any" })] as never
        },
      },
    ],
  })
  const document = (await generator.generate(router, {
    info: {
      title: "Skein",
      version,
      description: "The coordination fabric for teams of coding agents. Every operation is a POST of one JSON object; every refusal says what to do about it.",
    },
    servers: [{ url: "/api/orpc" }],
    security: [{ token: [] }],
  })) as unknown as Json & { paths: Record<string, { post: Json & { operationId: OperationName } }> }
  for (const { post } of Object.values(document.paths)) {
    const name = post.operationId
    post["description"] = `${operations[name].text}\n\nLeast role: \`${operations[name].least}\`.`
    post["parameters"] = [...(KINDS[name] === "command" ? ["IdempotencyKey"] : []), "Workspace", "Session"].map((header) => ({
      $ref: `#/components/parameters/${header}`,
    }))
    post["responses"] = { ...(post["responses"] as Json), ...refusals(name) }
    post["x-skein"] = { least: operations[name].least, kind: KINDS[name] }
  }
  const components = {
    ...(document["components"] as Json | undefined),
    schemas: { ...(document["components"] as { schemas?: Json } | undefined)?.schemas, Error: errorSchema },
    parameters: headers,
    securitySchemes: {
      token: {
        type: "http",
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "A token of 15 minutes from POST /token; over loopback also the credential itself.",
      },
    },
  }
  return { ...document, components }
}

function refusals(name: OperationName): Json {
  const content = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } }
  const rows = [...errorsOf(name)].map(([status, codes]) => [
    String(status),
    { description: codes.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join("\n\n"), content },
  ])
  return Object.fromEntries(rows) as Json
}
