import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Seq } from "../core/ids.ts"
import { proofHolds, readNote } from "./checkpoint-note.ts"
import { gist } from "./entry-rows.ts"
import { ledger } from "./entry-source.ts"
import { count, dateTime } from "./figures.ts"
import { tasksOf } from "../core/entry-filter.ts"
import { type Cause, causesAmong } from "./ledger-search.ts"
import { ask, hubAnswers } from "./live.ts"
import type { Picture } from "./moment.ts"
import { hrefOf } from "./route.ts"
import { type Shown, STORED_PAGE, storedPage, storedPageOf } from "./stored-pages.ts"
import { Text, To } from "./text.tsx"
import { failureText } from "./failure.ts"

/** So far before an entry its causes are looked for; further when asked. */
const REACH = 5_000
const FURTHER = 10
const CAUSES_SHOWN = 100

/** One entry: all that it says, what led to it, and the proof of it. */
export function LedgerEntry({ seq, picture, close }: { seq: Seq; picture: Picture; close: () => void }): JSX.Element {
  const section = useRef<HTMLElement>(null)
  const [shown, setShown] = useState<Shown | null>(null)
  const [trouble, setTrouble] = useState<string | null>(null)
  useEffect(() => {
    let isOver = false
    storedPage(storedPageOf(seq))
      .then((page) => {
        // Another may have been chosen meanwhile, which came sooner.
        if (isOver) return
        const found = page[(seq - 1) % STORED_PAGE]
        setShown(found ?? null)
        setTrouble(found === undefined ? `There is no entry ${count(seq)}.` : null)
      })
      .catch((error: unknown) => (isOver ? undefined : setTrouble(failureText(error))))
    return () => void (isOver = true)
  }, [seq, hubAnswers.value])
  // Where it stands below the list it would open out of sight.
  useEffect(() => {
    const { current } = section
    if (current !== null && current.getBoundingClientRect().top > innerHeight / 2) current.parentElement?.scrollIntoView()
  }, [])
  return (
    <section ref={section} class="entry" aria-label={`Entry ${seq}`}>
      <div class="entry-head">
        <h3>Entry {count(seq)}</h3>
        <button type="button" onClick={close}>
          close
        </button>
      </div>
      {trouble === null ? null : (
        <p role="alert">
          <Text of={trouble} />
        </p>
      )}
      {shown === null ? null : <Facts shown={shown} picture={picture} />}
    </section>
  )
}

function Facts({ shown, picture }: { shown: Shown; picture: Picture }): JSX.Element {
  const { seq, entry, hash, breaks } = shown
  return (
    <>
      <dl class="facts">
        <dt>what</dt>
        <dd>
          <Text of={entry.type} />
        </dd>
        <dt>when</dt>
        <dd>{dateTime(entry.atMs)}</dd>
        <dt>by</dt>
        <dd>
          <To view="agents" part={entry.actor.agent} /> <span class="quiet">{entry.actor.role}</span>
        </dd>
        {tasksOf(entry).map((task) => (
          <>
            <dt>task</dt>
            <dd>
              <To view="plan" part={task} />
            </dd>
          </>
        ))}
        <dt>command</dt>
        <dd>{entry.commandId === null ? <span class="quiet">the hub's own</span> : <Text of={entry.commandId} max={80} />}</dd>
        <dt>chain</dt>
        <dd>
          {breaks === null ? (
            <span>
              <span aria-hidden="true">●</span> chains to entry {count(seq - 1)}
            </span>
          ) : (
            <strong class="alert-count">
              <span aria-hidden="true">✕</span> <Text of={breaks} />
            </strong>
          )}{" "}
          <code class="hash">{hash}</code>
        </dd>
      </dl>
      <p class="buttons buttons-left">
        <a href={hrefOf("ledger", [String(seq)], {}, seq)}>the page at this moment</a>
        <Proof seq={seq} />
      </p>
      <pre class="data" tabIndex={0} role="region" aria-label="what the entry says">
        <Text of={JSON.stringify(entry.data, null, 2)} max={4_000} lines />
      </pre>
      <Causes shown={shown} picture={picture} />
    </>
  )
}

/** Gets the proof of the entry, checks it here, and gives it as a file. */
function Proof({ seq }: { seq: Seq }): JSX.Element {
  const [said, setSaid] = useState("")
  const fetchProof = async (): Promise<void> => {
    setSaid("proving …")
    try {
      const proof = await ask("ledger.prove", { seq })
      const size = readNote(proof.checkpoint)?.size ?? 0
      if (!proofHolds(proof)) {
        setSaid("✕ the hub's proof does not hold: do not rely on it, and run skein ledger verify")
        return
      }
      save(`skein-proof-${seq}.json`, JSON.stringify(proof, null, 2))
      setSaid(`● it holds against the checkpoint of ${count(size)} entries; outsiders check it with: skein ledger check`)
    } catch (error) {
      setSaid(error instanceof Error ? `${error.message}${"remedy" in error ? ` ${String(error.remedy)}` : ""}` : String(error))
    }
  }
  return (
    <>
      <button type="button" onClick={() => void fetchProof()}>
        get the proof
      </button>
      <span role="status">
        <Text of={said} />
      </span>
    </>
  )
}

function save(name: string, text: string): void {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

const WHY: Readonly<Record<Cause["why"], string>> = {
  cause: "named as its cause",
  command: "same command",
  task: "same task, before",
  trigger: "same wake, before",
}

function Causes({ shown, picture }: { shown: Shown; picture: Picture }): JSX.Element {
  const [reach, setReach] = useState(REACH)
  const [causes, setCauses] = useState<readonly Cause[] | null>(null)
  const [trouble, setTrouble] = useState<string | null>(null)
  const { seq, entry } = shown
  // Before its task was added nothing can have happened to it.
  const added = Math.min(...tasksOf(entry).map((task) => picture.state.tasks.get(task)?.addedSeq ?? 1), seq)
  const first = Math.max(1, added, seq - reach)
  useEffect(() => {
    let isOver = false
    findCauses(shown, first)
      .then((found) => {
        if (isOver) return
        setCauses(found)
        setTrouble(null)
      })
      .catch((error: unknown) => (isOver ? undefined : setTrouble(failureText(error))))
    return () => {
      isOver = true
    }
  }, [seq, first, hubAnswers.value])
  return (
    <>
      <h3>What led to it</h3>
      {trouble === null ? null : (
        <p role="alert">
          <Text of={trouble} />
        </p>
      )}
      {causes === null && trouble === null ? <p class="quiet">looking …</p> : null}
      <ol class="causes" reversed>
        {(causes ?? []).slice(0, CAUSES_SHOWN).map(({ seq: at, entry: cause, why }) => (
          <li key={at} value={at}>
            <a href={hrefOf("ledger", [String(at)])}>
              <Text of={cause.type} />
            </a>{" "}
            by <Text of={cause.actor.agent} max={60} /> <span class="quiet">({WHY[why]})</span>
            <div class="quiet cause-gist">
              <bdi>{gist(cause, 160)}</bdi>
            </div>
          </li>
        ))}
      </ol>
      {causes?.length === 0 ? <p class="quiet">Nothing in the ledger: it began here.</p> : null}
      {causes !== null && causes.length > CAUSES_SHOWN ? <p class="quiet">and {count(causes.length - CAUSES_SHOWN)} before those</p> : null}
      {first > 1 && first > added ? (
        <button type="button" onClick={() => setReach(reach * FURTHER)}>
          look before entry {count(first)}
        </button>
      ) : null}
    </>
  )
}

async function findCauses({ seq, entry }: Shown, first: Seq): Promise<Cause[]> {
  const { entries: named } = await ask("ledger.why", { seq })
  const found: Cause[] = causesAmong(entry, named as Cause["entry"][], [])
  // Page by page, so that few are kept at a time.
  for await (const page of ledger.entries(first, seq - 1)) found.push(...causesAmong(entry, [], page))
  const known = new Set<Seq>()
  return found.filter((cause) => !known.has(cause.seq) && known.add(cause.seq)).sort((a, b) => b.seq - a.seq)
}
