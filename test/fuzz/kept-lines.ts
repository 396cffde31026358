import type { Choices } from "./choices.ts"
import { type Json, mutateValue, writeJson } from "./mutation.ts"

/** Changes to what is kept in lines that each begin with a seal: snapshots, and the steps of the past. */

const ODD = ["null", "[]", "{}", "1", '["tasks"]', '["__proto__","polluted",true]', '["none","a",{}]', '["tasks","a",null]', '["agents","__proto__",{}]', ""]

/** One line's value changed, a line left out, doubled or moved. */
export function changeLine(bytes: Buffer, choices: Choices): Buffer {
  const lines = bytes.toString("utf8").split("\n")
  const at = choices.chance(40) ? 0 : choices.below(lines.length - 1)
  const line = lines[at] as string
  switch (choices.below(5)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(choices.below(lines.length), 0, line)
      break
    case 2:
      lines[at] = sealOf(line) + choices.pick(ODD)
      break
    default:
      lines[at] = line === "" ? "{}" : sealOf(line) + writeJson(mutateValue(JSON.parse(line.slice(sealOf(line).length)) as Json, choices))
  }
  return Buffer.from(lines.join("\n"))
}

/** Cut between two lines, as a copy that was broken off leaves it. */
export function changeBetween(bytes: Buffer, choices: Choices): Buffer {
  const lines = bytes.toString("utf8").split("\n")
  return Buffer.from(`${lines.slice(0, choices.below(lines.length)).join("\n")}\n`)
}

function sealOf(line: string): string {
  return line.slice(0, 64)
}
