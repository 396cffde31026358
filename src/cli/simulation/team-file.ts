import { SkeinError } from "../../contract/errors.ts"
import { readBounded } from "../bounded-file.ts"
import { UsageError } from "../failure.ts"
import { PLAN_FILE_MAX_BYTES, PlanDocument } from "../plan-document.ts"
import { readAgents } from "../plan-file.ts"
import { PlanValue } from "../plan-value.ts"
import type { Member } from "./scenario.ts"
import { another, TEAM_MAX } from "./team.ts"

type More = { count: number; success: Record<string, number> }

/** Reads a team: `agents` as in a plan, and of each how many there are (`count`) and how often it truly succeeds (`success`, by skill, 0 to 1). Throws `SkeinError` with every fault. */
export function readTeamFile(path: string): Member[] {
  const document = new PlanDocument(bytesOf(path))
  const root = document.root === null ? null : new PlanValue(document, document.root, "")
  const list = root?.map(["agents"], ["agents"])?.get("agents")
  const read = readAgents<More>(list, {
    keys: ["count", "success"],
    read: (keys) => ({ count: keys.get("count")?.integer(1, TEAM_MAX) ?? 1, success: readSuccess(keys.get("success")) }),
  })
  const { faults } = document
  if (faults.length > 0) {
    const lines = faults.map(({ line, column, message, remedy }) => `  ${path}:${line}:${column}: ${message}\n      ${remedy}`)
    throw new SkeinError(
      "invalid_input",
      `the team has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}\n${lines.join("\n")}`,
      "Mend the file.",
      {
        file: path,
        faults,
      },
    )
  }
  const team: Member[] = []
  for (const { value } of read) {
    const { count = 1, success = {}, ...profile } = value
    if (!profile.start) continue
    // Beyond the limit nobody is counted any more: it is refused below, and each costs a look at all before it.
    for (let number = 0; number < count && team.length <= TEAM_MAX; number += 1)
      team.push(another({ ...profile, ...(Object.keys(success).length === 0 ? {} : { success }) }, team))
  }
  if (team.length === 0) throw new UsageError(`${path} has no agent that is started`, "Write `agents:` and under it `- name: …`.")
  if (team.length > TEAM_MAX) throw new UsageError(`${path} has more than ${TEAM_MAX} agents`, `Simulate ${TEAM_MAX} at the most.`)
  return team
}

function readSuccess(value: PlanValue | undefined): Record<string, number> {
  const found: Record<string, number> = {}
  for (const [skill, { value: chance }] of value?.entries("Write skills with their chance of success: { docs: 0.9 }") ?? []) {
    const read = chance.number(0, 1)
    if (read !== null) found[skill] = read
  }
  return found
}

function bytesOf(path: string): Uint8Array {
  try {
    return readBounded(path, PLAN_FILE_MAX_BYTES)
  } catch (error) {
    throw new UsageError(
      `the team ${JSON.stringify(path)} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      "Name a file with `agents:` as in a plan.",
    )
  }
}
