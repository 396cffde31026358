import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import { KEY_WINDOW_MS, KEYS_MAX } from "../core/idempotency.ts"
import { MESSAGE_MAX_BYTES } from "../core/message.ts"
import { TELEMETRY_BODY_MAX_BYTES, TELEMETRY_MARKS_MAX } from "./addresses.ts"
import { TOKEN_MS } from "./auth.ts"
import { BODY_MAX_BYTES, DEFAULT_RATE, PLAN_MAX_BYTES } from "./http.ts"
import { ASIDES } from "./intake.ts"
import { ANSWER_MAX_CHARS } from "./mcp-fit.ts"
import { LEVELS_MAX } from "./mcp-http.ts"
import { LINK_MS, PAGE_SESSION_MS } from "./page-sessions.ts"
import { AGENT_SHARE, CONNECTIONS_MAX, STRANGERS_MAX } from "./places.ts"
import { AT_ONCE } from "./read-turns.ts"
import { LONG_LEVELS_MAX, MARKS_MAX, SHORT_BYTES } from "./request.ts"
import { HELLO_MAX_BYTES, IN_FLIGHT_MAX } from "./socket-frames.ts"
import { REFUSALS } from "./websocket.ts"

const page = (path: string): string => readFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), "utf8").replace(/\s+/g, " ")
const grouped = (count: number): string => count.toLocaleString("en-US")
const WORDS: Readonly<Record<number, string>> = { 2: "two", 8: "eight", 12: "twelve", 100: "a hundred" }

test("the pages tell the limits as the hub has them", () => {
  const wire = page("reference/wire.md")
  const security = page("explanation/security.md")
  const reliability = page("explanation/reliability.md")
  const [minutes, hours] = [60_000, 3_600_000]
  const [kib, mib] = [1024, 1024 * 1024]
  expect(wire).toContain(`The token lasts ${TOKEN_MS / minutes} minutes`)
  expect(wire).toContain(`what the first one did, for ${KEY_WINDOW_MS / hours} hours`)
  expect(wire).toContain(`A request is ${BODY_MAX_BYTES / kib} KiB at the most, \`plan.add\` ${PLAN_MAX_BYTES / mib} MiB`)
  expect(wire).toContain(`a hello ${HELLO_MAX_BYTES / kib} KiB, telemetry ${TELEMETRY_BODY_MAX_BYTES / mib} MiB, a message ${MESSAGE_MAX_BYTES / kib} KiB`)
  expect(wire).toContain(`one of MCP nests ${LEVELS_MAX} levels; an answer to a model has at most ${grouped(ANSWER_MAX_CHARS)} characters`)
  expect(wire).toContain(
    `What is longer than ${SHORT_BYTES / kib} KiB nests ${LONG_LEVELS_MAX} levels at the most and has ${grouped(MARKS_MAX)} brackets, commas and colons`,
  )
  expect(wire).toContain(`outside of its texts, telemetry ${grouped(TELEMETRY_MARKS_MAX)}.`)
  expect(wire).toContain(`An entry of the ledger is ${grouped(ENTRY_MAX_BYTES)} bytes at the most`)
  expect(wire).toContain(`${grouped(IN_FLIGHT_MAX)} calls of one connection may be in flight; its reads are carried out ${WORDS[AT_ONCE]} a turn`)
  expect(wire).toContain(`may ask ${grouped(DEFAULT_RATE.perSecond)} times a second, after a pause ${grouped(DEFAULT_RATE.burst)} times at once`)
  expect(wire).toContain(`a connection may send ${WORDS[ASIDES.burst]} of them at once, and ${WORDS[ASIDES.perSecond]} a second`)
  expect(wire).toContain(`where there are ${grouped(REFUSALS.perSecond)} of both a second in all`)
  expect(wire).toContain(`The hub takes ${grouped(CONNECTIONS_MAX)} connections of agents, ${CONNECTIONS_MAX / AGENT_SHARE} of one agent at the most`)
  expect(wire).toContain(`${STRANGERS_MAX} of whoever has not shown a token yet`)
  expect(security).toContain(`an EdDSA JWT that lasts ${TOKEN_MS / minutes} minutes`)
  expect(security).toContain(`which works once, for ${WORDS[LINK_MS / minutes]} minutes`)
  expect(security).toContain(`good for ${WORDS[PAGE_SESSION_MS / hours]} hours`)
  expect(reliability).toContain(`for ${KEY_WINDOW_MS / hours} hours, and as long as it is one of the last ${grouped(KEYS_MAX)}`)
})
