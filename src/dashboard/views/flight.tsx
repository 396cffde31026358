import type { JSX } from "preact"
import { memo } from "preact/compat"
import { useState } from "preact/hooks"
import { type Flight as FlightState, type FlightAgent, flightOf } from "../../core/flight.ts"
import { viewPlan } from "../../core/view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { count } from "../figures.ts"
import { hubStatus } from "../live.ts"
import { isNow } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { Sparks } from "../sparks.tsx"
import { Ago, Left, Money, NotRecorded, State, Text, To } from "../text.tsx"
import type { ViewProps } from "../views.ts"
import { Alerts } from "./alerts.tsx"

/** Agents drawn at once: more are for a search, not for a glance. */
const AGENTS_SHOWN = 200
/** Tasks of one agent that are drawn, the oldest: whoever holds many would fill the screen alone. */
const TASKS_SHOWN = 6
/** Finished plans go away by themselves; of open ones the newest are shown. */
const PLANS_SHOWN = 12

/** The whole flight at a glance: what needs somebody, where the tasks stand, who does what, and who waits for whom. */
export function Flight({ picture }: ViewProps): JSX.Element {
  const flight = usePaced(picture, flightOf)
  const { state } = picture
  return (
    <div class="flight">
      <Alerts picture={picture} />
      <Tasks state={state} costMicroUsd={flight.costMicroUsd} />
      <Sparks picture={picture} />
      <HeldUp flight={flight} />
      <Agents agents={flight.agents} />
      <Plans state={state} />
    </div>
  )
}

/** In the order in which a task goes through them. */
const STATES = ["waiting", "ready", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"] as const

function Tasks({ state, costMicroUsd }: { state: Workspace; costMicroUsd: number }): JSX.Element {
  const { counts, readyCount } = state.board
  const of = (name: (typeof STATES)[number]): number => {
    if (name === "ready") return readyCount
    return name === "waiting" ? counts.pending - readyCount : counts[name]
  }
  const shown = STATES.filter((name) => of(name) > 0)
  return (
    <section class="flight-tasks" aria-labelledby="tasks">
      <h2 id="tasks">
        Tasks{" "}
        <span class="quiet">
          {count(state.tasks.size)}, cost so far <Money microUsd={costMicroUsd} />
        </span>
      </h2>
      {shown.length === 0 ? <p class="quiet">There are none yet: skein plan add, or skein task add.</p> : null}
      <div class="share" aria-hidden="true">
        {shown.map((name) => (
          <span key={name} class={`share-${name}`} style={{ flexGrow: of(name) }} />
        ))}
      </div>
      <ul class="counts">
        {shown.map((name) => (
          <li key={name}>
            <State of={name} /> <strong class="number">{count(of(name))}</strong>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** What is blocked, and what most others wait for. */
function HeldUp({ flight: { blocked, obstacles } }: { flight: FlightState }): JSX.Element | null {
  const [isWhole, setWhole] = useState(false)
  if (blocked.length + obstacles.length === 0) return null
  const most = isWhole ? obstacles : obstacles.slice(0, 5)
  return (
    <section class="flight-held" aria-labelledby="held-up">
      <h2 id="held-up">Held up</h2>
      <ul class="plain" data-arrows>
        {blocked.map(({ id, owner, on, by, updatedAtMs }) => (
          <li key={id}>
            <State of="blocked" /> <To view="plan" part={id} />
            {owner === null ? null : (
              <>
                {" "}
                of <To view="agents" part={owner} />
              </>
            )}{" "}
            on {on.kind} {on.kind === "external" ? <Text of={on.ref} max={80} /> : <To view={on.kind === "agent" ? "agents" : "plan"} part={on.ref} />}
            {by === null || by === on.ref ? null : (
              <>
                {" "}
                (<To view="agents" part={by} /> has it)
              </>
            )}
            : <Text of={on.reason} max={160} />{" "}
            <span class="quiet">
              <Ago atMs={updatedAtMs} />
            </span>
          </li>
        ))}
        {most.map(({ id, state, owner, waiting }) => (
          <li key={id}>
            <State of={state} /> <To view="plan" part={id} />
            {owner === null ? null : (
              <>
                {" "}
                of <To view="agents" part={owner} />
              </>
            )}
            : <strong>{count(waiting)}</strong> {waiting === 1 ? "task waits" : "tasks wait"} for it
          </li>
        ))}
      </ul>
      {obstacles.length > most.length ? (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          {obstacles.length - most.length} more that others wait for
        </button>
      ) : null}
    </section>
  )
}

function Agents({ agents }: { agents: readonly FlightAgent[] }): JSX.Element {
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? agents : agents.slice(0, AGENTS_SHOWN)
  const presence = new Map(isNow.value ? hubStatus.value?.agents.map((agent) => [agent.name, agent.presence]) : [])
  return (
    <section class="flight-agents" aria-labelledby="agents">
      <h2 id="agents">
        Agents <span class="quiet">{count(agents.length)}</span>
      </h2>
      {agents.length === 0 ? <p class="quiet">There are none yet: skein agent add, or a plan brings them along.</p> : null}
      {agents.length === 0 ? null : (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">agent</th>
              <th scope="col">presence</th>
              <th scope="col">task</th>
              <th scope="col">state</th>
              <th scope="col">lease left</th>
              <th scope="col">last words</th>
              <th scope="col" class="number">
                cost
              </th>
            </tr>
          </thead>
          <tbody data-arrows>
            {shown.map((agent) => (
              <AgentRow key={agent.name} agent={agent} presence={presence.get(agent.name) ?? null} />
            ))}
          </tbody>
        </table>
      )}
      {agents.length > shown.length ? (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          {count(agents.length - shown.length)} more agents
        </button>
      ) : null}
    </section>
  )
}

type AgentRowProps = { agent: FlightAgent; presence: string | null }

const AgentRow = memo(function AgentRow({ agent: { name, kind, tasks: held, words, costMicroUsd }, presence }: AgentRowProps): JSX.Element {
  const tasks = held.slice(0, TASKS_SHOWN)
  return (
    <tr>
      <th scope="row">
        <To view="agents" part={name} />{" "}
        <span class="quiet">
          <Text of={kind} max={40} />
        </span>
      </th>
      <td data-label="presence">{presence === null ? <NotRecorded /> : <State of={presence} />}</td>
      <td data-label="task">
        {tasks.map(({ id, title }) => (
          <div key={id}>
            <To view="plan" part={id} />{" "}
            <span class="quiet">
              <Text of={title} max={60} />
            </span>
          </div>
        ))}
        {held.length > tasks.length ? (
          <div class="quiet">
            and{" "}
            <To view="agents" part={name}>
              {count(held.length - tasks.length)} more
            </To>
          </div>
        ) : null}
      </td>
      <td data-label="state">
        {tasks.map(({ id, state, progress }) => (
          <div key={id} class="nowrap">
            <State of={state} /> {progress > 0 && progress < 1 ? <span class="number">{Math.floor(progress * 100)} %</span> : null}
          </div>
        ))}
      </td>
      <td data-label="lease left" class="nowrap">
        {tasks.map(({ id, leaseEndsAtMs }) => (
          <div key={id}>{leaseEndsAtMs === null ? <span class="quiet">none</span> : <Left untilMs={leaseEndsAtMs} />}</div>
        ))}
      </td>
      <td data-label="last words" class="words">
        {words === null ? null : (
          <>
            <Text of={words.text} max={140} />{" "}
            <span class="quiet">
              <Ago atMs={words.atMs} />
            </span>
          </>
        )}
      </td>
      <td data-label="cost" class="number">
        <Money microUsd={costMicroUsd} />
      </td>
    </tr>
  )
}, isSameRow)

/** Rows are made anew with each picture; one that says the same is not drawn again. */
function isSameRow(before: AgentRowProps, after: AgentRowProps): boolean {
  const { agent: a, presence } = before
  const { agent: b } = after
  if (presence !== after.presence || a.name !== b.name || a.kind !== b.kind || a.costMicroUsd !== b.costMicroUsd) return false
  if (a.words?.text !== b.words?.text || a.words?.atMs !== b.words?.atMs || a.tasks.length !== b.tasks.length) return false
  return a.tasks.every((task, at) => {
    const other = b.tasks[at]
    return (
      other !== undefined &&
      task.id === other.id &&
      task.title === other.title &&
      task.state === other.state &&
      task.progress === other.progress &&
      task.leaseEndsAtMs === other.leaseEndsAtMs
    )
  })
}

/** Plans that are not finished, the newest first. */
function Plans({ state }: { state: Workspace }): JSX.Element | null {
  const open = [...state.plans.values()]
    .filter((plan) => plan.cancelled === null)
    .sort((a, b) => b.addedSeq - a.addedSeq)
    .slice(0, PLANS_SHOWN)
    .flatMap(({ id }) => viewPlan(state, id) ?? [])
    .filter((plan) => !plan.finished)
  if (open.length === 0) return null
  return (
    <section class="flight-plans" aria-labelledby="plans">
      <h2 id="plans">Open plans</h2>
      <ul class="plain" data-arrows>
        {open.map(({ id, title, counts, taskCount }) => (
          <li key={id}>
            <To view="plan" part={id} /> <Text of={title} max={100} />{" "}
            <span class="quiet number">
              {count(counts.completed)} of {count(taskCount)} done
            </span>{" "}
            <progress value={counts.completed} max={Math.max(1, taskCount)} aria-label={`done of ${id}`} />
          </li>
        ))}
      </ul>
    </section>
  )
}
