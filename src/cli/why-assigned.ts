import type { Command } from "commander"
import { act, type Context, examples } from "./context.ts"
import { printable } from "./printable.ts"
import { showSkills } from "./quantity.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

const RULES = { named: "asked for it", order: "first that fitted", assigned: "best of those who waited", probe: "tried out" } as const

/** `skein why-assigned`: who got a task, and why. */
export function register(program: Command): void {
  program
    .command("why-assigned <task>")
    .description("Say who got a task, and why: the newest claim first.")
    .addHelpText("after", examples(["skein why-assigned fix-login", "the match, the expected chance of success, and how earlier attempts ended"]))
    .action(act(showWhy))
}

async function showWhy(context: Context, task: string): Promise<void> {
  const { terminal } = context
  const answer = await (await context.hub()).call("task.whyAssigned", { task })
  terminal.record(answer)
  if (terminal.json) return
  if (answer.assignments.length === 0) {
    terminal.print(`nobody has claimed ${printable(task)} yet`)
    return
  }
  const percent = (share: number | undefined): string => (share === undefined ? "" : `${Math.round(100 * share)} %`)
  const rows = answer.assignments.map(({ agent, atMs, why, end, reason }) => [
    agent,
    showTime(atMs),
    why === null ? "not recorded" : RULES[why.rule],
    percent(why?.match),
    percent(why?.chance),
    why?.score === undefined ? "" : why.score.toFixed(2),
    why === null ? "" : `${why.ready} ready, ${why.waiting} others waiting`,
    end === null ? "" : `${end}: ${reason ?? ""}`,
  ])
  const heads = ["agent", "claimed", "why", "match", "chance", "score", "at that time", "ended"]
  const columns = heads.map((head) => ({ head, max: 60 }))
  const asked = Object.keys(answer.requires).length === 0 ? "asks for no skill" : `requires ${showSkills(answer.requires)}`
  terminal.print(`${printable(task)} ${asked}\n${renderTable(terminal, columns, rows)}`)
}
