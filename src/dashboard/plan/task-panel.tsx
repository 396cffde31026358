import type { ComponentChildren, JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { conflictsWith } from "../../core/file-conflict.ts"
import type { FileLease } from "../../core/file-lease.ts"
import { byName, type TaskId } from "../../core/ids.ts"
import type { Thread } from "../../core/thread.ts"
import { type TaskState, taskState, type TaskView, viewTask } from "../../core/view.ts"
import { count, duration } from "../figures.ts"
import type { Picture } from "../moment.ts"
import { hrefOf } from "../route.ts"
import { Ago, Left, Money, State, Text, To } from "../text.tsx"
import { TaskClaims } from "./task-claims.tsx"
import { TaskHistory } from "./task-history.tsx"
import { Part } from "./task-panel-part.tsx"

/** Everything that is known of one task at the moment. */
export function TaskPanel({ picture, id, onClose }: { picture: Picture; id: TaskId; onClose: () => void }): JSX.Element | null {
  const { state } = picture
  const heading = useRef<HTMLHeadingElement>(null)
  // Whoever opened it by keys reads on there.
  useEffect(() => heading.current?.focus(), [])
  const task = viewTask(state, id)
  if (task === null) return null
  return (
    <aside
      class="task-panel"
      aria-label={`Task ${id}`}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return
        event.preventDefault()
        onClose()
      }}
    >
      <div class="task-panel-head">
        <h2 ref={heading} tabIndex={-1}>
          <Text of={id} max={160} />
        </h2>
        <button type="button" aria-label="Close the task" title="Escape" onClick={onClose}>
          ✕
        </button>
      </div>
      <p class="task-title">
        <Text of={task.title} />
      </p>
      <p>
        <State of={task.state} /> {task.reason === null ? null : <Text of={task.reason} />}
      </p>
      <Facts task={task} />
      {task.body === "" ? null : (
        <Part title="What to do">
          <p>
            <Text of={task.body} max={600} lines />
          </p>
        </Part>
      )}
      <Neighbours picture={picture} title="Waits for" ids={task.dependsOn} />
      <Neighbours picture={picture} title="Waited for by" ids={[...state.board.dependents(id)].sort(byName)} />
      <Attempts task={task} />
      <TaskClaims picture={picture} task={task} />
      <Files picture={picture} task={task} />
      <Messages picture={picture} id={id} />
      {task.deliverable === null ? null : (
        <Part title="Delivered">
          <p>
            <Text of={task.deliverable.text} max={600} lines />
          </p>
          <Evidence evidence={task.deliverable.evidence} />
        </Part>
      )}
      <TaskHistory task={task} />
    </aside>
  )
}

function Facts({ task }: { task: TaskView }): JSX.Element {
  const skills = Object.entries(task.requires)
  const rows: [string, ComponentChildren][] = [
    ["owner", task.owner === null ? null : <To view="agents" part={task.owner} />],
    ["lease left", task.leaseEndsAtMs === null ? null : <Left untilMs={task.leaseEndsAtMs} />],
    ["claimed", task.claimedAtMs === null ? null : <Ago atMs={task.claimedAtMs} />],
    ["last heard of", task.status === "pending" ? null : <Ago atMs={task.updatedAtMs} />],
    ["stale", task.stale === null ? null : `nothing was heard of it; the ${task.stale} was told`],
    ["progress", task.progress === 0 && task.note === null ? null : <Progress task={task} />],
    [
      "blocked on",
      task.blockedOn === null ? null : (
        <>
          {task.blockedOn.kind} <Text of={task.blockedOn.ref} max={120} />: <Text of={task.blockedOn.reason} />
        </>
      ),
    ],
    [
      "help wanted",
      task.helpWanted === null ? null : (
        <>
          <Text of={task.helpWanted.reason} />
          {task.helpWanted.helper === null ? " (nobody yet)" : ` (${task.helpWanted.helper} helps)`}
        </>
      ),
    ],
    ["failed attempts", `${task.attempts} of ${task.maxAttempts}`],
    ["priority", task.priority],
    ["estimate", task.estimateMs === null ? null : duration(task.estimateMs)],
    ["chain behind it", task.pathMs === 0 ? null : duration(task.pathMs)],
    ["requires", skills.length === 0 ? null : <Text of={skills.map(([skill, level]) => `${skill} ${level}`).join(", ")} />],
    ["prefers", task.prefers],
    ["cost", <Cost task={task} />],
    ["model", task.model === null ? null : <Text of={task.model} max={120} />],
    ["account", task.account === null ? null : <Text of={task.account} max={120} />],
    ["labels", task.labels.length === 0 ? null : <Text of={task.labels.join(", ")} />],
    ["gates", task.gates.length === 0 ? null : <Text of={task.gates.join("; ")} />],
    ["kind", [task.filler ? "filler" : "", task.review ? "needs a review" : ""].filter((word) => word !== "").join(", ") || null],
  ]
  return (
    <dl class="task-facts">
      {rows.map(([name, value]) =>
        value === null ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  )
}

function Progress({ task: { progress, note } }: { task: TaskView }): JSX.Element {
  return (
    <>
      {Math.round(100 * progress)} %{note === null ? null : ": "}
      {note === null ? null : <Text of={note} />}
    </>
  )
}

function Cost({ task: { usage, budgetMicroUsd } }: { task: TaskView }): JSX.Element {
  return (
    <>
      <Money microUsd={usage.costMicroUsd} />
      {budgetMicroUsd === null ? null : " of "}
      {budgetMicroUsd === null ? null : <Money microUsd={budgetMicroUsd} />}
      {usage.inputTokens + usage.outputTokens === 0 ? "" : ` · ${count(usage.inputTokens)} tokens in, ${count(usage.outputTokens)} out`}
    </>
  )
}

/** Tasks that are named at once; a barrier may wait for thousands. */
const NAMED_MAX = 20

function Neighbours({ picture: { state }, title, ids }: { picture: Picture; title: string; ids: readonly TaskId[] }): JSX.Element | null {
  if (ids.length === 0) return null
  const stateOf = (id: TaskId): TaskState | null => {
    const task = state.tasks.get(id)
    return task === undefined ? null : taskState(state, task)
  }
  return (
    <Part title={title}>
      <ul class="plain">
        {ids.slice(0, NAMED_MAX).map((id) => {
          const at = stateOf(id)
          return (
            <li key={id}>
              {at === null ? null : <State of={at} />} <To view="plan" part={id} />
            </li>
          )
        })}
      </ul>
      {ids.length > NAMED_MAX ? <p class="quiet">and {count(ids.length - NAMED_MAX)} more</p> : null}
    </Part>
  )
}

function Attempts({ task: { history } }: { task: TaskView }): JSX.Element | null {
  if (history.length === 0) return null
  return (
    <Part title="What earlier attempts learned">
      <ol class="plain" reversed>
        {history.toReversed().map(({ agent, fence, end, reason, note, progress, atMs }) => (
          <li key={fence}>
            <To view="agents" part={agent} /> <span class="quiet">got to {Math.round(100 * progress)} %, then</span>{" "}
            {end.replace(/^task\./, "").replaceAll("_", " ")}{" "}
            <span class="quiet">
              <Ago atMs={atMs} />
            </span>
            {reason === "" ? null : (
              <p>
                <Text of={reason} max={600} lines />
              </p>
            )}
            {note === null ? null : (
              <p>
                <span class="quiet">last said:</span> <Text of={note} max={600} lines />
              </p>
            )}
          </li>
        ))}
      </ol>
    </Part>
  )
}

function Files({ picture: { state }, task }: { picture: Picture; task: TaskView }): JSX.Element | null {
  const leases = state.board.holdings.ofTask(task.id).map((id) => state.files.get(id) as FileLease)
  const against = task.touches.length === 0 || task.closedAtMs !== null ? [] : conflictsWith(state, task.owner ?? "", task.touches, "exclusive", task.id)
  if (task.touches.length === 0 && leases.length === 0) return null
  return (
    <Part title="Files">
      {task.touches.length === 0 ? null : (
        <p>
          touches <Text of={task.touches.join(" ")} max={400} />
        </p>
      )}
      {leases.map(({ id, mode, globs, endsAtMs }) => (
        <p key={id}>
          holds <Text of={globs.join(" ")} max={400} />, {mode}, for <Left untilMs={endsAtMs} />
        </p>
      ))}
      {against.map(({ agent, theirs, path, task: other }, at) => (
        <p key={at}>
          <span class="state state-blocked">
            <span aria-hidden="true">◼</span> in the way
          </span>{" "}
          <To view="agents" part={agent} /> holds <Text of={theirs} max={200} />{" "}
          {other === null ? null : (
            <>
              for <To view="plan" part={other} />
            </>
          )}{" "}
          <span class="quiet">
            (both match <Text of={path} max={200} />)
          </span>
        </p>
      ))}
      <p>
        <a href={hrefOf("files")}>Who holds what</a>
      </p>
    </Part>
  )
}

function Messages({ picture: { state }, id }: { picture: Picture; id: TaskId }): JSX.Element | null {
  const ids = new Set([...state.forum.threadsAbout(id), `task/${id}`])
  const threads = [...ids].flatMap((thread): Thread | [] => state.threads.get(thread) ?? []).sort((a, b) => b.lastSeq - a.lastSeq)
  if (threads.length === 0) return null
  return (
    <Part title="Messages">
      <ul class="plain">
        {threads.slice(0, NAMED_MAX).map((thread) => (
          <li key={thread.id}>
            <To view="threads" part={thread.id}>
              <Text of={thread.title} max={120} />
            </To>{" "}
            <span class="quiet">
              {count(thread.head)} {thread.head === 1 ? "message" : "messages"}
              {thread.head === 0 ? "" : ", the last "}
              {thread.head === 0 ? null : <Ago atMs={thread.lastAtMs} />}
              {thread.status === "active" ? "" : `, ${thread.status}`}
            </span>
          </li>
        ))}
      </ul>
    </Part>
  )
}

function Evidence({ evidence: { testsPass, commit, links } }: { evidence: NonNullable<TaskView["deliverable"]>["evidence"] }): JSX.Element {
  return (
    <ul class="plain">
      {testsPass === null ? null : <li>tests {testsPass ? "pass" : "fail"}</li>}
      {commit === null ? null : (
        <li>
          commit{" "}
          <code>
            <Text of={commit} max={80} />
          </code>
        </li>
      )}
      {links.map((link) => (
        <li key={link}>
          <Text of={link} max={200} />
        </li>
      ))}
    </ul>
  )
}
