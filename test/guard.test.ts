import { afterAll, beforeAll, expect, test } from "vitest"
import { tidyUp } from "./cli-driver.ts"
import { type Checkout, makeTeam, type Team, Yard } from "./guard-rig.ts"
import { PASSES, type Situation, STOPPED } from "./guard-situations.ts"

/** The git guard in real repositories, with a real hub and real agents. */

let team: Team
let yard: Yard
beforeAll(async () => {
  team = await makeTeam()
  yard = new Yard(team)
})
afterAll(async () => {
  yard.tidyUp()
  await tidyUp()
})

async function prepare({ before }: Situation): Promise<Checkout> {
  const at = yard.bare()
  before?.(at)
  await at.guard()
  return at
}

const script = ({ act }: Situation, at: Checkout): string => (typeof act === "string" ? act : act(at))
/** All but the last command, which is the one that git is to refuse. */
const upTo = (line: string): string => line.split("; ").slice(0, -1).join("; ") || "true"

test.concurrent.each(STOPPED)("an agent is stopped: $name", async (situation) => {
  const at = await prepare(situation)
  const line = script(situation, at)
  const begin = at.refs()
  expect(await at.sh("goose", upTo(line)), upTo(line)).toMatchObject({ status: 0 })
  const before = at.refs() + at.files()
  const ran = await at.sh("goose", line.split("; ").at(-1) as string)
  expect(ran.stderr).toContain("skein: refused: ")
  expect(ran.stderr).toContain(situation.file)
  expect(ran.stderr).toMatch(/held by heron \(exclusive, held\/\*\*, "moving it"\) until \d{4}-.*, in \d+ min/)
  expect(ran.stderr).toContain("remedy: ")
  expect(ran.status).not.toBe(0)
  if (situation.takeBack === undefined) return expect(at.refs() + at.files(), "no ref has moved, no file has changed").toBe(before)
  expect(await at.sh("goose", situation.takeBack), situation.takeBack).toMatchObject({ status: 0 })
  expect(at.refs() + at.plain("status", "--porcelain")).toBe(begin)
})

test.concurrent.each(PASSES)("an agent passes: $name", async (situation) => {
  const at = await prepare(situation)
  const ran = await at.sh("goose", script(situation, at))
  expect(ran.stderr).not.toContain("skein:")
  expect(ran).toMatchObject({ status: 0 })
})
