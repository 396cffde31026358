import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { type Alert, alertKeys, alertsOf } from "../../core/alerts.ts"
import { act, type Question } from "../act.ts"
import { hubStatus } from "../live.ts"
import { isNow, type Picture } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { Text } from "../text.tsx"

const SHOWN = 5

/**
 * What needs somebody, each with what to do about it. Of now it is the hub's own view. Of a moment of the past it follows from the ledger by the same
 * code; what the policy denied is no ledger entry, and so not known of then.
 */
export function Alerts({ picture }: { picture: Picture }): JSX.Element | null {
  const [isWhole, setWhole] = useState(false)
  const then = usePaced(picture, (state) => (isNow.peek() ? [] : alertsOf(state, state.atMs)))
  const alerts: readonly Alert[] = isNow.value ? (hubStatus.value?.alerts ?? []) : then
  if (alerts.length === 0) return null
  const shown = isWhole ? alerts : alerts.slice(0, SHOWN)
  const keys = alertKeys(alerts)
  return (
    <section class="flight-alerts" aria-labelledby="alerts">
      <h2 id="alerts">
        {isNow.value ? (
          "Needs you"
        ) : (
          <>
            Needed somebody then <span class="quiet">what a policy denied is not recorded</span>
          </>
        )}
      </h2>
      <ul class="plain alerts" data-arrows>
        {shown.map((alert, at) => (
          <li key={keys[at]}>
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
            {isNow.value ? <Remedy alert={alert} /> : null}
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
  if (kind === "failed_task")
    return <Deed verb="Open it again" name={task} question={openAgain(task)} run={(question) => act("task.reset", { task }, question)} />
  if (kind === "stale_task")
    return <Deed verb="End its lease" name={task} question={endLease(task, agent)} run={(question) => act("lease.end", { task }, question)} />
  return null
}

/** `name`: of what, for whoever does not see where the button stands. */
function Deed({
  verb,
  name,
  question,
  run,
}: {
  verb: string
  name: string
  question: Omit<Question, "verb">
  run: (question: Question) => Promise<unknown>
}): JSX.Element {
  return (
    <button type="button" aria-label={`${verb}: ${name}`} onClick={() => void run({ ...question, verb })}>
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
