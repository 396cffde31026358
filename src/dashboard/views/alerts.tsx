import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { act, type Question } from "../act.ts"
import { hubStatus, type Status } from "../live.ts"
import { isNow } from "../moment.ts"
import { Text } from "../text.tsx"

type Alert = Status["alerts"][number]

const SHOWN = 5

/** What needs somebody, each with what to do about it: the hub's own view, of no other moment than now. */
export function Alerts(): JSX.Element | null {
  const [isWhole, setWhole] = useState(false)
  if (!isNow.value) return null
  const alerts = hubStatus.value?.alerts ?? []
  if (alerts.length === 0) return null
  const shown = isWhole ? alerts : alerts.slice(0, SHOWN)
  return (
    <section class="flight-alerts" aria-labelledby="alerts">
      <h2 id="alerts">Needs you</h2>
      <ul class="plain alerts">
        {shown.map((alert) => (
          <li key={`${alert.kind} ${alert.text}`}>
            <span class="mark" aria-hidden="true">
              ▲
            </span>
            <span>
              <Text of={alert.text} max={300} />
              <br />
              <span class="quiet">
                <Text of={alert.remedy} max={300} />
              </span>
            </span>
            <Remedy alert={alert} />
          </li>
        ))}
      </ul>
      {alerts.length > shown.length ? (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          {alerts.length - shown.length} more
        </button>
      ) : null}
    </section>
  )
}

/** The remedy as a button, where the page can give it. */
function Remedy({ alert: { kind, task, agent } }: { alert: Alert }): JSX.Element | null {
  if (task === null) return null
  if (kind === "failed_task") return <Deed verb="Open it again" question={openAgain(task)} run={(question) => act("task.reset", { task }, question)} />
  if (kind === "stale_task" || kind === "lease_without_session")
    return <Deed verb="End its lease" question={endLease(task, agent)} run={(question) => act("lease.end", { task }, question)} />
  return null
}

function Deed({ verb, question, run }: { verb: string; question: Omit<Question, "verb">; run: (question: Question) => Promise<unknown> }): JSX.Element {
  return (
    <button type="button" onClick={() => void run({ ...question, verb })}>
      {verb}
    </button>
  )
}

function openAgain(task: string): Omit<Question, "verb"> {
  return { title: `Open ${task} again`, text: "It becomes ready once more, with all its attempts; what depends on it can go on then.", reason: "required" }
}

function endLease(task: string, agent: string | null): Omit<Question, "verb"> {
  const who = agent === null ? "Whoever holds it" : agent
  return {
    title: `End the lease of ${task}`,
    text: `${who} loses the task: it is open again for everybody, and what ${who} still writes to it is refused.`,
    isGrave: true,
    reason: "required",
  }
}
