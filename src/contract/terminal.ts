import * as z from "zod"
import { operation } from "./operation.ts"
import { name, timeMs } from "./schema.ts"

/** Bytes of one terminal's text: 200 lines of 80 characters. */
const screenText = z.string().max(16_384)

export const terminalOperations = {
  "terminal.report": operation({
    least: "supervisor",
    summary: "Say what the terminals show that somebody looks at.",
    text: "Called by a supervisor every second or so, with the agents of the last answer that it runs; kept in memory, for a minute, and never recorded. `wanted` names the agents that somebody looks at.",
    errors: [],
    input: z.strictObject({ screens: z.array(z.strictObject({ agent: name, text: screenText })).max(200) }),
    output: z.object({ wanted: z.array(name) }),
  }),
  "terminal.show": operation({
    least: "operator",
    summary: "See the last lines of an agent's terminal.",
    text: "Asks the supervisor that runs it to report; `screen` is null until it has, a second or so later, and stays null where no supervisor runs it. `atMs`: when it was seen. Without colours and control characters. Ask again every few seconds for as long as you look.",
    errors: [],
    input: z.strictObject({ agent: name }),
    output: z.object({ screen: z.object({ text: screenText, atMs: timeMs }).nullable() }),
  }),
}
