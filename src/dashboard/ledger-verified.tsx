import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Output } from "../contract/operations.ts"
import type { Seq } from "../core/ids.ts"
import type { Checkpoint } from "../core/workspace.ts"
import { readNote } from "./checkpoint-note.ts"
import { ledger } from "./entry-source.ts"
import { count } from "./figures.ts"
import { ask, connection } from "./live.ts"
import { moment, type Picture } from "./moment.ts"
import { digestOf } from "./state-digest.ts"
import { checked } from "./stored-pages.ts"
import { Text } from "./text.tsx"
import { failureText } from "./failure.ts"

/** A checkpoint comes a second after the first entry that none covers: asked so often for the newest, in ms. */
const ASK_MS = 5_000

/** What is known to be true of the ledger that is shown: its chain, its checkpoint, and the state that follows from it. */
export function LedgerVerified({ picture }: { picture: Picture }): JSX.Element {
  const { entries, broken } = checked.value
  return (
    <dl class="verified">
      <dt>chain</dt>
      <dd>
        {broken === null ? (
          <>
            <span aria-hidden="true">●</span> {count(entries)} entries were read here, and each chains to the one before it
          </>
        ) : (
          <strong class="alert-count" role="alert">
            <span aria-hidden="true">✕</span> <Text of={broken.breaks ?? ""} />. Run <code>skein ledger verify</code>
          </strong>
        )}
      </dd>
      <dt>checkpoint</dt>
      <dd>
        <Signed head={picture.seq} />
      </dd>
      <dt>state</dt>
      <dd>
        <Digest picture={picture} />
      </dd>
    </dl>
  )
}

function Signed({ head }: { head: Seq }): JSX.Element {
  const [at, setAt] = useState<Output<"ledger.head"> | null>(null)
  useEffect(() => {
    const look = (): void => {
      if (connection.peek().phase === "live") ask("ledger.head", {}).then(setAt, () => undefined)
    }
    look()
    const timer = setInterval(look, ASK_MS)
    return () => clearInterval(timer)
  }, [])
  const note = at?.note === undefined || at.note === null ? null : readNote(at.note)
  if (note === null) return <span class="quiet">{at === null ? "asking the hub …" : "none was signed yet"}</span>
  const covered = Math.min(head, note.size)
  return (
    <>
      <span aria-hidden="true">{covered === head ? "●" : "◔"}</span> signed over {count(note.size)} entries as <Text of={note.origin} max={80} />
      {note.signers.length > 1 ? `, cosigned by ${count(note.signers.length - 1)}` : ", no witness has cosigned"}
      {covered === head ? "" : `; ${count(head - covered)} came after it`} <span class="quiet">(as the hub says)</span>
    </>
  )
}

type Made = { seq: Seq; digest: string; recorded: { seq: Seq; digest: string } | null }

/** The digest of the state that the page has folded, to compare with what the hub recorded, and with a replay. */
function Digest({ picture }: { picture: Picture }): JSX.Element {
  const [made, setMade] = useState<Made | null>(null)
  const [said, setSaid] = useState<string | null>(null)
  const make = async (): Promise<void> => {
    const { seq, state } = picture
    setSaid("folding …")
    try {
      const digest = await digestOf(state, (share) => setSaid(`hashing ${Math.floor(100 * share)} %`))
      setMade({ seq, digest, recorded: await recordedAt(seq) })
      setSaid(null)
    } catch (error) {
      setSaid(failureText(error))
    }
  }
  const isOfThis = made !== null && (moment.value === "live" || made.seq === picture.seq)
  return (
    <>
      <button type="button" onClick={() => void make()} disabled={said?.endsWith("…") === true || said?.endsWith("%") === true}>
        make its digest
      </button>{" "}
      <span role="status">
        {said === null ? null : <Text of={said} />}
        {said === null && isOfThis && made !== null ? <Compared made={made} /> : null}
      </span>
    </>
  )
}

function Compared({ made: { seq, digest, recorded } }: { made: Made }): JSX.Element {
  return (
    <>
      <code class="hash digest">{digest}</code> after entry {count(seq)};{" "}
      {recorded === null ? (
        <>
          compare with <code>skein ledger replay --to {seq}</code>
        </>
      ) : recorded.digest === digest ? (
        <>
          <span aria-hidden="true">●</span> the same as the checkpoint in entry {count(recorded.seq)} recorded
        </>
      ) : (
        <strong class="alert-count">
          <span aria-hidden="true">✕</span> the checkpoint in entry {count(recorded.seq)} recorded another
        </strong>
      )}
    </>
  )
}

/** What the checkpoint right after an entry says of the state up to it; null where there is none. */
async function recordedAt(seq: Seq): Promise<Made["recorded"]> {
  const next = await ledger.entry(seq + 1)
  if (next?.type !== "checkpoint.recorded") return null
  const { size, digest } = next.data as Checkpoint
  return size === seq ? { seq: next.seq, digest } : null
}
