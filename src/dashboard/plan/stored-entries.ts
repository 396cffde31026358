import { useEffect, useState } from "preact/hooks"
import { SkeinError } from "../../contract/errors.ts"
import type { Entry } from "../../core/entry.ts"
import type { Seq, TaskId } from "../../core/ids.ts"
import { ask } from "../live.ts"
import { failureText } from "../failure.ts"

/** Entries that one question to the ledger takes, and that one look further back takes at the most. */
const PAGE = 1_000
const LOOK = 5_000
const FOUND_MAX = 40
const KEPT = 500

/** Entries that were read one by one. They never change, so that they are the same at every moment. */
const kept = new Map<Seq, Entry>()

/** These entries, once they were read: null until then. `trouble`: why they cannot be. */
export function useEntries(seqs: readonly Seq[]): { entries: readonly Entry[] | null; trouble: string | null } {
  const [, again] = useState(0)
  const [trouble, setTrouble] = useState<string | null>(null)
  const missing = seqs.filter((seq) => !kept.has(seq))
  useEffect(() => {
    if (missing.length === 0) return
    let isOver = false
    readEach(missing)
      .then(() => (isOver ? undefined : (setTrouble(null), again((times) => times + 1))))
      .catch((error: unknown) => (isOver ? undefined : setTrouble(wordsOf(error))))
    return () => void (isOver = true)
  }, [missing.join(" ")])
  return missing.length > 0 ? { entries: null, trouble } : { entries: seqs.map((seq) => kept.get(seq) as Entry), trouble: null }
}

async function readEach(seqs: readonly Seq[]): Promise<void> {
  for (const seq of seqs) {
    const { entries } = await ask("ledger.read", { from: seq, limit: 1 })
    if (entries[0] !== undefined) keep(JSON.parse(entries[0].bytes) as Entry)
  }
}

function keep(entry: Entry): void {
  kept.set(entry.seq, entry)
  for (const old of kept.keys()) if (kept.size > KEPT) kept.delete(old)
}

/** What was found of a task's entries, newest first, between two places in the ledger. */
export type History = { entries: readonly Entry[]; from: Seq; to: Seq; isReading: boolean; trouble: string | null }

/**
 * A task's own entries, newest first, through `to`: the ledger keeps no list of them, so they are looked for from its last one back towards its first.
 * `further` looks on. Nothing is read before `isWanted`.
 */
export function useHistory(task: TaskId, { addedSeq, lastSeq }: { addedSeq: Seq; lastSeq: Seq }, isWanted: boolean): { history: History; further: () => void } {
  const [history, setHistory] = useState<History>({ entries: [], from: lastSeq + 1, to: lastSeq, isReading: false, trouble: null })
  const look = (from: Seq, to: Seq, place: (found: readonly Entry[], from: Seq, before: History) => History): void => {
    setHistory((before) => ({ ...before, isReading: true, trouble: null }))
    lookBack(task, from, to)
      .then(({ entries, from: reached }) => setHistory((before) => ({ ...place(entries, reached, before), isReading: false })))
      .catch((error: unknown) => setHistory((before) => ({ ...before, isReading: false, trouble: wordsOf(error) })))
  }
  const further = (): void => look(addedSeq, history.from - 1, (found, from, before) => ({ ...before, entries: [...before.entries, ...found], from }))
  useEffect(() => {
    if (isWanted && history.entries.length === 0 && history.trouble === null && history.from > addedSeq && !history.isReading) further()
  }, [isWanted])
  useEffect(() => {
    // What happens while it is open comes on top.
    if (!isWanted || history.isReading || lastSeq <= history.to) return
    look(history.to + 1, lastSeq, (found, _, before) => ({ ...before, entries: [...found, ...before.entries], to: lastSeq }))
  }, [isWanted, lastSeq, history.isReading])
  // Back in time: what came later is not shown.
  return { history: { ...history, entries: history.entries.filter(({ seq }) => seq <= lastSeq) }, further }
}

async function lookBack(task: TaskId, first: Seq, last: Seq): Promise<{ entries: Entry[]; from: Seq }> {
  const found: Entry[] = []
  let to = last
  while (to >= first && last - to < LOOK && found.length < FOUND_MAX) {
    const from = Math.max(first, to - PAGE + 1)
    const page: Entry[] = []
    for (let next: Seq | null = from; next !== null && next <= to;) {
      const answer: { entries: { seq: Seq; bytes: string }[]; next: Seq | null } = await ask("ledger.read", {
        from: next,
        limit: Math.min(PAGE, to - next + 1),
      })
      for (const { seq, bytes } of answer.entries) if (seq <= to && isAbout(task, bytes)) page.push(JSON.parse(bytes) as Entry)
      next = answer.next
    }
    found.push(...page.reverse())
    to = from - 1
  }
  return { entries: found, from: to + 1 }
}

/** Told by the text before it is parsed: of a thousand entries a few are about the task. */
function isAbout(task: TaskId, bytes: string): boolean {
  if (!bytes.includes(JSON.stringify(task))) return false
  const { type, data } = JSON.parse(bytes) as Entry<string, { id?: unknown; task?: unknown; metadata?: { task?: unknown } } | null>
  if (data === null || typeof data !== "object") return false
  return ((type.startsWith("task.") || type.startsWith("lease.")) && data.id === task) || data.task === task || data.metadata?.task === task
}

function wordsOf(error: unknown): string {
  if (error instanceof SkeinError) return `${error.message}. ${error.remedy}`
  return failureText(error)
}
