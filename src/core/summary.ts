import { withInstants } from "./instant.ts"
import { newestOf } from "./message-page.ts"
import type { MessageView } from "./message-view.ts"
import type { Thread } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** What a summary is made of: counts, and the numbers of the messages that it may quote, so that only those are read. */
export type Outline = { openFindings: number; decisions: number; findings: number[]; decided: number[]; last: number[] }

/** Messages of each sort that a summary quotes at the most. */
const QUOTED_MAX = 50

export function outlineOf(state: Workspace, thread: Thread): Outline {
  const open = state.forum.findingsOf(thread.id).filter((finding) => finding.open)
  const decided = newestOf(state, thread, "decision", Number.POSITIVE_INFINITY)
  const last = Array.from({ length: Math.min(thread.head, QUOTED_MAX) }, (_, at) => thread.head - at)
  const newest = open.map((finding) => finding.last).sort((a, b) => b - a)
  return { openFindings: open.length, decisions: decided.length, findings: newest.slice(0, QUOTED_MAX), decided: decided.slice(0, QUOTED_MAX), last }
}

const encoder = new TextEncoder()
const bytesOf = (text: string): number => encoder.encode(text).length

/**
 * The thread in at most `maxBytes` of UTF-8, the same for the same ledger: how it stands, open findings, decisions, last messages. Nothing is rephrased:
 * each quote is one line of a body, cut where it is long. `shown` says how many of each there was room for, `byHub` which messages that it quotes are the hub's own.
 */
export function summarize(
  thread: Thread,
  outline: Outline,
  messages: ReadonlyMap<number, MessageView>,
  maxBytes: number,
): { text: string; shown: { findings: number; decisions: number; messages: number }; byHub: number[] } {
  const { id, title, type, status, reason, changedBy, head } = thread
  const why = reason === null ? "" : ` by ${changedBy}: ${oneLine(reason, 200)}`
  const start = cut(`# ${id}: ${title}\n${type}, ${status}${why}, ${head} message${head === 1 ? "" : "s"}\n`, maxBytes)
  let left = maxBytes - bytesOf(start)
  const byHub: number[] = []
  /** As many lines, newest first, as fit in a part of what is left. */
  const section = (name: string, numbers: readonly number[], part: number, total: number): string[] => {
    const room = Math.floor(left * part)
    const lines: string[] = []
    // A head line takes no more than this, whatever the counts are.
    let used = bytesOf(name) + 32
    for (const number of numbers) {
      const message = messages.get(number)
      if (message === undefined) continue
      const line = lineOf(message)
      const bytes = bytesOf(line) + 1
      if (used + bytes > room) break
      used += bytes
      lines.push(line)
      if (message.voice === "hub") byHub.push(number)
    }
    if (lines.length === 0) return []
    const headline = `\n## ${name} (${lines.length} of ${total})`
    left -= bytesOf(headline) + 1 + lines.reduce((sum, line) => sum + bytesOf(line) + 1, 0)
    return [headline, ...lines]
  }
  const findings = section("Open findings", outline.findings, 0.4, outline.openFindings)
  const decisions = section("Decisions", outline.decided, 0.4, outline.decisions)
  const last = section("Last messages, newest first", outline.last, 1, head)
  const shown = { findings: Math.max(0, findings.length - 1), decisions: Math.max(0, decisions.length - 1), messages: Math.max(0, last.length - 1) }
  const lines = [...findings, ...decisions, ...last]
  return { text: `${start}${lines.join("\n")}${lines.length === 0 ? "" : "\n"}`, shown, byHub }
}

/** Such a text with the moments that the hub's own rules tell as `show` shows them. What others wrote is left as they wrote it. */
export function summaryWithInstants(text: string, byHub: readonly number[], show: (ms: number) => string): string {
  const shown = (line: string, number: string): string => withInstants(line, byHub.includes(Number(number)) ? "hub" : undefined, show)
  return text.replaceAll(/^- (\d+) .*$/gm, shown)
}

function lineOf({ message, sender, kind, body, metadata, to }: MessageView): string {
  const { eventType, severity, file, line, endLine } = metadata
  const about = [eventType ?? (kind === "chat" ? null : kind), severity, to === null ? null : `to ${to}`].filter((word) => word !== null).join(", ")
  const lines = line === null ? "" : `:${line}${endLine === null ? "" : `-${endLine}`}`
  return `- ${message} ${sender}${about === "" ? "" : ` (${about})`}${file === null ? "" : ` ${file}${lines}`}: ${oneLine(body, 240)}`
}

/** At most `max` characters on one line. */
function oneLine(text: string, max: number): string {
  const line = text.replaceAll(/\s+/g, " ").trim()
  if (line.length <= max) return line
  const characters = [...line.slice(0, 2 * max)]
  return characters.length <= max ? line : `${characters.slice(0, max - 1).join("")}…`
}

function cut(text: string, maxBytes: number): string {
  if (bytesOf(text) <= maxBytes) return text
  const characters = [...text]
  while (bytesOf(characters.join("")) > maxBytes - 1) characters.pop()
  return `${characters.join("")}\n`
}
