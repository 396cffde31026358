import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { SkeinError } from "../../contract/errors.ts"
import type { Output } from "../../contract/operations.ts"
import { type PolicyChange, policyText } from "../../core/policy-text.ts"
import { count } from "../figures.ts"
import { ask, hubStatus } from "../live.ts"
import { isNow, type Picture } from "../moment.ts"
import { type Column, SortedTable } from "../sorted-table.tsx"
import { Ago, NotRecorded, Text, To } from "../text.tsx"

type Log = Output<"policy.log">
type Judged = Log["decisions"][number]

const CHANGES_SHOWN = 10

/** Which policy holds, who set it, and what it decided lately: that the hub alone knows, and only since its start. */
export function PolicyDecisions({ picture }: { picture: Picture }): JSX.Element {
  // The picture and not its state, which goes on in place: whoever reads a signal is drawn again only where a property is another.
  const policy = policyText(picture.state)
  const changes = (policy?.history ?? []).toReversed()
  return (
    <section aria-labelledby="policy">
      <h2 id="policy">Policy</h2>
      <p>
        {policy === null || policy.text === null
          ? "The shipped policy holds: everybody may do what its role allows, and nothing is decided beside that."
          : "A policy of this workspace holds."}
      </p>
      {changes.length === 0 ? null : (
        <ul class="plain">
          {changes.slice(0, CHANGES_SHOWN).map((change) => (
            <Change key={change.seq} change={change} />
          ))}
        </ul>
      )}
      <h3>Decisions</h3>
      {isNow.value ? (
        <Decisions />
      ) : (
        <p>
          <NotRecorded />
        </p>
      )}
    </section>
  )
}

function Change({ change: { seq, atMs, by, reason, shipped } }: { change: PolicyChange }): JSX.Element {
  return (
    <li>
      {shipped ? "the shipped one again" : "set"} by <Text of={by} max={80} /> <Ago atMs={atMs} />,{" "}
      <To view="ledger" part={String(seq)}>
        entry {count(seq)}
      </To>
      : <Text of={reason} />
    </li>
  )
}

function Decisions(): JSX.Element {
  const [log, setLog] = useState<Log | null>(null)
  const [isAll, setAll] = useState(false)
  const [trouble, setTrouble] = useState<SkeinError | null>(null)
  // Asked as often as the hub's status is.
  const status = hubStatus.value
  useEffect(() => {
    let isOver = false
    ask("policy.log", { limit: 200, decision: isAll ? null : "deny" })
      .then((answer) => (isOver ? undefined : (setLog(answer), setTrouble(null))))
      .catch((error: unknown) => (isOver || !(error instanceof SkeinError) ? undefined : setTrouble(error)))
    return () => void (isOver = true)
  }, [status, isAll])
  if (trouble !== null)
    return (
      <p class="quiet">
        <Text of={trouble.message} />. <Text of={trouble.remedy} />
      </p>
    )
  if (log === null) return <p class="quiet">Asking the hub …</p>
  return (
    <>
      <p class="quiet">
        Of the last decisions since the hub started {count(log.allowed)} allowed and {count(log.denied)} denied.{" "}
        <label>
          <input type="checkbox" checked={isAll} onChange={({ currentTarget }) => setAll(currentTarget.checked)} /> show what was allowed too
        </label>
      </p>
      {log.decisions.length === 0 ? null : <SortedTable name="Decisions of the policy" columns={COLUMNS} rows={log.decisions} keyOf={keyOf} />}
    </>
  )
}

const COLUMNS: readonly Column<Judged>[] = [
  {
    title: "decision",
    order: ({ decision }) => decision,
    cell: ({ decision }) => (
      <span class={`state ${decision === "deny" ? "state-failed" : "state-completed"}`}>
        <span aria-hidden="true">{decision === "deny" ? "✕" : "●"}</span> {decision}
      </span>
    ),
  },
  { title: "who", order: ({ principal }) => principal, cell: ({ principal, role }) => <Who name={principal} role={role} /> },
  { title: "what", order: ({ action }) => action, cell: ({ action }) => <Text of={action} max={80} /> },
  { title: "to", order: ({ resource }) => resource, cell: ({ resource }) => <Text of={resource} max={160} /> },
  { title: "by", cell: ({ by, rule, fault }) => <Text of={[rule ?? by.replaceAll("_", " "), fault].filter((word) => word !== null).join(": ")} /> },
  { title: "when", order: ({ atMs }) => atMs, cell: ({ atMs }) => <Ago atMs={atMs} /> },
  {
    title: "against entry",
    isNumber: true,
    order: ({ seq }) => seq,
    cell: ({ seq }) => (
      <To view="ledger" part={String(seq)}>
        {count(seq)}
      </To>
    ),
  },
]

function Who({ name, role }: { name: string; role: string }): JSX.Element {
  return (
    <>
      <Text of={name} max={80} /> <span class="quiet">{role}</span>
    </>
  )
}

let lastKey = 0
const keys = new WeakMap<Judged, string>()

/** Decisions have no number of their own. */
function keyOf(judged: Judged): string {
  const known = keys.get(judged) ?? `${(lastKey += 1)}`
  keys.set(judged, known)
  return known
}
