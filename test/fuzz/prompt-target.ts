import { PassThrough } from "node:stream"
import { saysYes } from "../../src/cli/consent.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { mutateBytes, oddText } from "./mutation.ts"

/** What somebody types, or pastes, where `skein init` asks: nothing but a yes is one, and every question ends. */
export const promptTarget: Target = {
  name: "prompt",
  entrance: "what is typed where skein init asks",
  casesPerSubject: 500,
  open: () => Promise.resolve(new PromptSubject()),
}

const TYPED = [
  "y",
  "Y",
  "yes",
  "n",
  "no",
  "yy",
  "yes please",
  "",
  " y ",
  "y\u0000",
  "\ty",
  "y\u200b",
  "ﾕ",
  "yеs",
  "\u001b[A",
  "\u001b[200~y\r\u001b[201~",
  "\u007f",
  "\u0015y",
]
const ENDS = ["\n", "\r", "\r\n", "\n\n", "", "\u0003", "\u0004"]
/** Would stop this very process, as it stops whoever is asked. */
const CTRL_Z = 0x1a

class PromptSubject implements Subject {
  #sent = ""

  describe(): string {
    return this.#sent
  }

  async attempt(choices: Choices): Promise<string> {
    const isTerminal = choices.chance(60)
    const text = choices.chance(60) ? choices.pick(TYPED) : oddText(choices).toWellFormed()
    const typed = Buffer.from(text + choices.pick(ENDS) + (choices.chance(20) ? choices.pick(TYPED) + choices.pick(ENDS) : ""))
    const bytes = (choices.chance(40) ? mutateBytes(typed, choices, 2) : typed).subarray(0, 20_000)
    const given = isTerminal ? bytes.filter((byte) => byte !== CTRL_Z) : bytes
    this.#sent = `${isTerminal ? "at a terminal" : "by a pipe"}: ${JSON.stringify(Buffer.from(given).toString("latin1").slice(0, 2_000))}`
    const input = new PassThrough()
    const output = Object.assign(new PassThrough(), { isTTY: isTerminal, columns: 80, rows: 24 }).resume()
    const at = choices.chance(30) ? choices.below(given.length + 1) : given.length
    input.write(given.subarray(0, at))
    const answer = saysYes("Do this?", { input, output })
    setImmediate(() => {
      input.write(given.subarray(at))
      input.end()
    })
    const yes = await answer
    // A line that is not ended is no answer yet.
    const [line = "", ...ended] = Buffer.from(given)
      .toString("utf8")
      .split(/\r\n|[\n\r\u2028\u2029]/)
    const meant = ended.length > 0 && /^\s*y(es)?\s*$/i.test(line)
    if (!isTerminal && yes !== meant) throw new Broken(`${JSON.stringify(line)} is taken for ${yes ? "a yes" : "a no"}`)
    if (yes && !/y/i.test(Buffer.from(given).toString("latin1"))) throw new Broken("a yes that nobody typed")
    return `${isTerminal ? "terminal" : "pipe"}: ${yes ? "yes" : "no"}`
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
