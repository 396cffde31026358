import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Output } from "../../contract/operations.ts"
import type { AgentId, ThreadId } from "../../core/ids.ts"
import { isLive, type Trigger } from "../../core/trigger.ts"
import { viewTrigger } from "../../core/trigger-view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { act } from "../act.ts"
import { count } from "../figures.ts"
import { ask, hubAnswers } from "../live.ts"
import { clock, isNow, type Picture } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { Ago, State, Text, To } from "../text.tsx"
import { failureText } from "../failure.ts"

/** Of those that are over, the newest. */
const OVER_SHOWN = 10

/** The wakes that a thread has called for. */
export function ThreadWakes({ picture, thread }: { picture: Picture; thread: ThreadId }): JSX.Element | null {
  return <Wakes picture={picture} fits={(job) => job.thread === thread} />
}

/** The wakes of one agent. */
export function AgentWakes({ picture, agent }: { picture: Picture; agent: AgentId }): JSX.Element | null {
  return <Wakes picture={picture} fits={(job) => job.target === agent} />
}

function Wakes({ picture, fits }: { picture: Picture; fits: (job: Trigger) => boolean }): JSX.Element | null {
  const { state } = picture
  const all = usePaced(picture, (at: Workspace) => [...at.triggers.values()].filter(fits).sort((a, b) => b.createdSeq - a.createdSeq))
  if (all.length === 0) return null
  const under = all.filter(isLive)
  const shown = [...under, ...all.filter((job) => !isLive(job)).slice(0, OVER_SHOWN)]
  return (
    <details open={under.length > 0}>
      <summary>
        {count(all.length)} {all.length === 1 ? "wake" : "wakes"}
        {under.length === 0 ? "" : `, ${under.length} under way`}
      </summary>
      <ul class="plain">
        {shown.map((job) => (
          <Wake key={job.id} state={state} job={job} seq={picture.seq} />
        ))}
      </ul>
    </details>
  )
}

function Wake({ state, job, seq }: { state: Workspace; job: Trigger; seq: number }): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  const { why } = viewTrigger(state, job, clock.value)
  const { id, target, status, reason, by, createdAtMs } = job
  return (
    <li>
      <State of={status} /> <To view="agents" part={target} />: <Text of={why} max={300} />{" "}
      <span class="quiet">
        asked for by <Text of={by} max={64} /> <Ago atMs={createdAtMs} />: <Text of={reason} max={160} />
      </span>{" "}
      <button type="button" class="more" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        hop by hop
      </button>
      {isNow.value && isLive(job) ? (
        <button
          type="button"
          class="more"
          aria-label={`cancel the wake of ${target}`}
          onClick={() =>
            void act(
              "trigger.cancel",
              { job: id },
              { title: `Cancel the wake of ${target}`, text: "It is not delivered.", verb: "Cancel", reason: "required", isGrave: true },
            )
          }
        >
          cancel
        </button>
      ) : null}
      {isNow.value && status === "dead" ? (
        <button
          type="button"
          class="more"
          aria-label={`try again to wake ${target}`}
          onClick={() =>
            void act(
              "trigger.retry",
              { job: id },
              { title: `Wake ${target} again`, text: "It is tried from the beginning.", verb: "Try again", reason: "required" },
            )
          }
        >
          try again
        </button>
      ) : null}
      {isOpen ? <Hops job={id} entries={job.entries.length} seq={seq} /> : null}
    </li>
  )
}

/** What became of a wake, step by step: entries of the ledger, up to the moment that is shown. */
function Hops({ job, entries, seq }: { job: string; entries: number; seq: number }): JSX.Element {
  const [hops, setHops] = useState<Output<"trigger.why">["hops"] | string>([])
  useEffect(() => {
    ask("trigger.why", { job }).then(
      (answer) => setHops(answer.hops),
      (error: unknown) => setHops(failureText(error)),
    )
  }, [job, entries, hubAnswers.value])
  if (typeof hops === "string") return <Text of={hops} />
  return (
    <ol class="hops">
      {hops
        .filter((hop) => hop.seq <= seq)
        .map(({ seq: at, atMs, by, code, text }) => (
          <li key={at}>
            <Text of={text} max={300} /> {code === null ? null : <code>{code}</code>}{" "}
            <span class="quiet">
              <Text of={by} max={64} />, <Ago atMs={atMs} />
            </span>
          </li>
        ))}
    </ol>
  )
}
