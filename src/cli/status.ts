import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { act, examples, type Context } from "./context.ts"
import type { HubConnection } from "./connection.ts"
import { conflictText, foreseenAtWork } from "./files-foreseen.ts"
import { LiveScreen } from "./live-screen.ts"
import { printable } from "./printable.ts"
import { renderTable, type Cell } from "./table.ts"
import type { Terminal } from "./terminal.ts"

type Status = Output<"hub.status">

/** `skein status`: where the workspace stands, once or live. */
export function register(program: Command): void {
  program
    .command("status")
    .description("Show where the workspace stands: tasks, agents, plans, and what needs attention.")
    .option("--follow", "stay, and show every change")
    .addHelpText(
      "after",
      examples(["skein status", "once"], ["skein status --follow", "live, until Ctrl-C"], ["skein status --json | jq .counts", "for programs"]),
    )
    .action(act(showStatus))
}

async function showStatus(context: Context, { follow = false }: { follow?: boolean }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const status = await hub.call("hub.status", {})
  if (follow) return followStatus(terminal, hub, status)
  const conflicts = (await foreseenAtWork(context, atWork(status))).map(({ a, b, files }) => ({ a: a.name, b: b.name, files }))
  const { yellow, dim } = terminal.colours
  const warnings = conflicts.flatMap((conflict) => [
    "",
    `${yellow("!")} ${conflictText(conflict)}`,
    `  ${dim("Have them agree who goes first: skein files conflicts")}`,
  ])
  terminal.answer({ url: hub.url, ...status, conflicts }, () => [...statusLines(terminal, hub.url, status), ...warnings].join("\n"))
}

/** The agents that hold a task now. */
function atWork({ agents }: Status): string[] {
  return agents.flatMap(({ name, tasks }) => (tasks.length > 0 ? [name] : []))
}

async function followStatus(terminal: Terminal, hub: HubConnection, first: Status): Promise<void> {
  let status = first
  const stopped = new AbortController()
  process.once("SIGINT", () => stopped.abort())
  const screen = new LiveScreen(terminal, () => statusLines(terminal, hub.url, status))
  const show = (): void => {
    if (terminal.isLive) screen.changed()
    else terminal.answer({ url: hub.url, ...status }, () => `${statusLines(terminal, hub.url, status).join("\n")}\n`)
  }
  screen.start()
  show()
  try {
    let asked = false
    for await (const _ of hub.events({ from: status.head.seq + 1, signal: stopped.signal })) {
      if (asked) continue
      asked = true
      // What changes together is shown together.
      setTimeout(() => {
        asked = false
        if (stopped.signal.aborted) return
        hub
          .call("hub.status", {})
          .then((next) => {
            status = next
            show()
          })
          .catch(() => undefined)
      }, 100)
    }
  } finally {
    screen.stop()
  }
}

const SHOWN: readonly string[] = ["ready", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"]

function statusLines(terminal: Terminal, url: string, { workspace, head, checkpoint, counts, agents, plans, alerts, nowMs }: Status): string[] {
  const { bold, dim, red, green, yellow } = terminal.colours
  const tasks = SHOWN.flatMap((state) => ((counts[state] ?? 0) > 0 ? [`${counts[state]} ${state.replace("_", " ")}`] : []))
  const waiting = (counts["pending"] ?? 0) - (counts["ready"] ?? 0)
  const lines = [
    `${bold(`workspace ${printable(workspace)}`)}  ${dim(`${url} · entry ${head.seq} · ${head.hash.slice(0, 12)} · ${checkpoint === null ? "no checkpoint yet" : `checkpoint of ${checkpoint.size} entries`}`)}`,
    `tasks: ${[...tasks, ...(waiting > 0 ? [`${waiting} waiting`] : [])].join(", ") || "none"}`,
  ]
  const present = agents.filter(({ presence }) => presence !== "retired")
  if (present.length > 0) {
    const paint = { active: green, idle: yellow, lost: red, offline: dim, retired: dim }
    const rows = present.map(({ name, role, presence, busy, tasks: held, sessions }): Cell[] => {
      const beats = sessions.flatMap(({ lastBeatMs }) => (lastBeatMs === null ? [] : [lastBeatMs]))
      const heard = beats.length === 0 ? "" : `${Math.max(0, Math.round((nowMs - Math.max(...beats)) / 1_000))} s ago`
      return [name, role, { text: presence, paint: paint[presence] }, busy ? "busy" : "", held.join(", "), heard]
    })
    lines.push(
      "",
      ...renderTable(
        terminal,
        [{ head: "agent" }, { head: "role" }, { head: "presence" }, { head: "" }, { head: "holds", max: 60 }, { head: "heard" }],
        rows,
      ).split("\n"),
    )
  }
  const open = plans.filter(({ finished }) => !finished)
  if (open.length > 0) {
    const rows = open.map(({ id, title, counts: of }) => [
      id,
      title,
      of["completed"] ?? 0,
      of["ready"] ?? 0,
      (of["claimed"] ?? 0) + (of["in_progress"] ?? 0),
      of["failed"] ?? 0,
    ])
    const numbers = ["completed", "ready", "at work", "failed"].map((name) => ({ head: name, right: true }))
    lines.push("", ...renderTable(terminal, [{ head: "open plan" }, { head: "title", max: 50 }, ...numbers], rows).split("\n"))
  }
  for (const { text, remedy } of alerts) lines.push("", `${red("!")} ${printable(text)}`, `  ${dim(printable(remedy))}`)
  return lines
}
