import type { ComponentChildren, JSX } from "preact"
import type { Agent } from "../../core/agent.ts"
import { manifestOf } from "../../core/manifest.ts"
import { usageBy } from "../../core/usage.ts"
import { taskState } from "../../core/view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { act } from "../act.ts"
import { count, duration } from "../figures.ts"
import { clock, isNow, type Picture } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { Ago, Left, Money, State, Text, To } from "../text.tsx"
import { openPalette } from "../palette-call.ts"
import { TerminalTail } from "./terminal-tail.tsx"
import { AgentWakes } from "./wakes.tsx"

const SESSIONS_SHOWN = 12
const TASKS_SHOWN = 20

/** One agent from near: what it does, what it is and can, where it ran, and what can be done with it. */
export function OneAgent({ picture, agent }: { picture: Picture; agent: Agent }): JSX.Element {
  const { state } = picture
  const { name, kind, role, status, model, account, costPerHourMicroUsd, maxActive, heartbeatMs, addedAtMs } = agent
  const spent = usePaced(picture, (at) => usageBy(at, "agent").find(({ key }) => key === name)?.costMicroUsd ?? 0)
  const runs = sessionsOf(state, name)
  const isManaged = runs.some(({ status: stands, managedBy }) => stands === "live" && managedBy !== undefined)
  return (
    <div class="one-agent">
      <div class="agent-head">
        <h2>
          <Text of={name} max={64} /> {status === "retired" ? <State of="retired" /> : null}
        </h2>
        {isNow.value && status === "present" ? <AgentVerbs name={name} isManaged={isManaged} /> : null}
      </div>
      <div>
        <Work picture={picture} name={name} />
        <h3>Profile</h3>
        <dl class="traits">
          <Fact name="kind">
            <Text of={kind} max={64} />
          </Fact>
          <Fact name="role">{role}</Fact>
          <Fact name="model">{model === null ? "–" : <Text of={model} max={120} />}</Fact>
          <Fact name="account">{account === null ? "–" : <Text of={account} max={120} />}</Fact>
          <Fact name="cost an hour">
            <Money microUsd={costPerHourMicroUsd} />
          </Fact>
          <Fact name="spent">
            <Money microUsd={spent} />
          </Fact>
          <Fact name="tasks at once">{count(maxActive)}</Fact>
          <Fact name="heartbeat">{duration(heartbeatMs)}</Fact>
          <Fact name="joined">
            <Ago atMs={addedAtMs} />
          </Fact>
          <Fact name="its thread">
            <To view="threads" part={`agent/${name}`} />
          </Fact>
        </dl>
        <Skills picture={picture} name={name} />
        <h3>Sessions</h3>
        {runs.length === 0 ? <p class="quiet">It has not run yet.</p> : null}
        <ul class="plain">
          {runs.slice(0, SESSIONS_SHOWN).map((session) => (
            <li key={session.id}>
              <State of={session.status} /> <Text of={session.runtime} max={40} />, began <Ago atMs={session.startedAtMs} />
              {session.endedAtMs === null ? null : <>, ran {duration(session.endedAtMs - session.startedAtMs)}</>}
              {session.reason === null ? null : (
                <>
                  : <Text of={session.reason} max={160} />
                </>
              )}{" "}
              <span class="quiet">
                <Text of={session.id} max={64} />
              </span>
            </li>
          ))}
        </ul>
        <AgentWakes picture={picture} agent={name} />
      </div>
      <div class="agent-terminal">
        <h3>Terminal</h3>
        <TerminalTail agent={name} isManaged={isManaged} />
      </div>
    </div>
  )
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function sessionsOf(state: Workspace, name: string): ReturnType<Workspace["board"]["sessionsOf"]> {
  return [...state.board.sessionsOf(name)].sort((a, b) => b.startedAtMs - a.startedAtMs)
}

/** Directives: the model reads them, and the supervisor that runs it keeps them. */
function AgentVerbs({ name, isManaged }: { name: string; isManaged: boolean }): JSX.Element {
  const order =
    (directive: "pause" | "resume" | "stop" | "nudge", verb: string, text: string, isGrave = false) =>
    (): void =>
      void act(
        "event.send",
        { kind: "directive", directive, to: { agent: name }, requiresAck: directive === "nudge" },
        {
          title: `${verb} ${name}`,
          text: isManaged || directive === "nudge" ? text : `${text} No supervisor runs it now: only its model hears of it.`,
          verb,
          reason: "required",
          reasonAs: "text",
          isGrave,
        },
      )
  return (
    <div class="tools" role="group" aria-label="what can be done with this agent">
      <button onClick={order("pause", "Pause", "It is neither woken nor started again; what runs goes on.")}>Pause</button>
      <button onClick={order("resume", "Resume", "It runs and is woken again, also where it was given up.")}>Resume</button>
      <button onClick={order("stop", "Stop", "Its process ends, and its session; what it holds is open again.", true)}>Stop</button>
      <button onClick={order("nudge", "Nudge", "It is asked to go on.")}>Nudge</button>
      <button onClick={() => (openPalette.value = { typed: "agent.", given: { name, agent: name, target: name } })}>More …</button>
      <code class="copy">skein agent attach {name}</code>
      <button
        type="button"
        class="more"
        onClick={() => void navigator.clipboard.writeText(`skein agent attach ${name}`)}
        aria-label="copy the command that attaches to its terminal"
      >
        copy
      </button>
    </div>
  )
}

/** What it holds, and what became of what it had. */
function Work({ picture: { state }, name }: { picture: Picture; name: string }): JSX.Element {
  const held = state.board.heldBy(name)
  const done = [...state.tasks.values()]
    .filter(({ owner, status }) => owner === name && (status === "completed" || status === "failed" || status === "cancelled"))
    .sort((a, b) => b.updatedAtMs - a.updatedAtMs)
  return (
    <>
      <h3>Work</h3>
      {held.length === 0 ? <p class="quiet">It holds no task.</p> : null}
      <ul class="plain">
        {held.map((task) => (
          <li key={task.id}>
            <State of={taskState(state, task)} /> <To view="plan" part={task.id} /> <Text of={state.specs.get(task.id)?.title ?? ""} max={120} />
            {task.leaseEndsAtMs === null ? null : (
              <span class="quiet">
                {" "}
                · lease <Left untilMs={task.leaseEndsAtMs} />
              </span>
            )}
            {task.progress === 0 ? "" : ` · ${Math.round(task.progress * 100)} %`}
            {task.note === null ? null : (
              <>
                : <Text of={task.note} max={200} />
              </>
            )}
          </li>
        ))}
      </ul>
      {done.length === 0 ? null : (
        <details>
          <summary>
            {count(done.length)} {done.length === 1 ? "task is" : "tasks are"} over
          </summary>
          <ul class="plain">
            {done.slice(0, TASKS_SHOWN).map((task) => (
              <li key={task.id}>
                <State of={task.status} /> <To view="plan" part={task.id} /> <Text of={state.specs.get(task.id)?.title ?? ""} max={120} />{" "}
                <span class="quiet">
                  <Ago atMs={task.updatedAtMs} />, <Money microUsd={task.usage.costMicroUsd} />
                </span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}

function Skills({ picture, name }: { picture: Picture; name: string }): JSX.Element | null {
  const skills = usePaced(picture, (state) => manifestOf(state, name)?.skills ?? [])
  void clock.value
  if (skills.length === 0) return null
  return (
    <>
      <h3>Skills</h3>
      <div class="scroll" tabIndex={0} role="region" aria-label="Skills">
        <table>
          <thead>
            <tr>
              <th scope="col">skill</th>
              <th scope="col">says</th>
              <th scope="col">learned</th>
              <th scope="col" class="number">
                succeeds
              </th>
              <th scope="col" class="number">
                seen
              </th>
            </tr>
          </thead>
          <tbody>
            {skills.map(({ skill, declared, learned, mean, deviation, seen }) => (
              <tr key={skill}>
                <th scope="row">
                  <Text of={skill} max={64} />
                </th>
                <td>{declared === null ? "–" : `level ${declared}`}</td>
                <td>{learned === null ? "–" : `level ${learned}`}</td>
                <td class="number">
                  {Math.round(mean * 100)} % ± {Math.round(deviation * 100)}
                </td>
                <td class="number">{count(seen)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
