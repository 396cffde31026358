import type { JSX } from "preact"
import { useCallback, useEffect, useRef, useState } from "preact/hooks"
import { chainLeft, type Chain, longestChain } from "../../core/critical-path.ts"
import type { PlanId, TaskId } from "../../core/ids.ts"
import { isClosed } from "../../core/task.ts"
import type { TaskState } from "../../core/view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { count, duration } from "../figures.ts"
import { type Face, facesOf } from "../plan/faces.ts"
import { GraphCanvas } from "../plan/graph-canvas.tsx"
import { graphOf, looseTasks } from "../plan/graph.ts"
import { DRAWN_MAX, type Laid, useLayout } from "../plan/layout.ts"
import { TaskList } from "../plan/task-list.tsx"
import { TaskPanel } from "../plan/task-panel.tsx"
import type { Picture } from "../moment.ts"
import { goTo, hrefOf, setFilters } from "../route.ts"
import { State, Text } from "../text.tsx"
import type { ViewProps } from "../views.ts"

/** What stands in the address for the tasks that belong to no plan. */
const NO_PLAN = "-"

/** `#/plan`, `#/plan/PLAN`, `#/plan/PLAN/TASK`, and `#/plan/TASK` for whoever knows only the task. */
export function PlanView({ picture, parts, filters }: ViewProps): JSX.Element {
  const { state } = picture
  const at = placeOf(state, parts)
  if (at === null)
    return (
      <>
        <h2>Plan</h2>
        <p>
          {parts[0] === undefined ? (
            "There are no tasks yet."
          ) : (
            <>
              At this moment there is no plan and no task <Text of={parts[0]} max={120} />.
            </>
          )}{" "}
          A plan comes with <code>skein run PLAN.yaml</code>, a task with <code>skein task add</code>.{" "}
          {parts[0] === undefined ? null : <a href={hrefOf("plan")}>All plans</a>}
        </p>
      </>
    )
  return <Shown key={at.plan ?? NO_PLAN} picture={picture} plan={at.plan} task={at.task} query={filters["q"] ?? ""} />
}

/** It is given the picture and not its state, which goes on in place: a component with hooks is drawn again only where a property is another. */
function Shown({ picture, plan, task, query }: { picture: Picture; plan: PlanId | null; task: TaskId | null; query: string }): JSX.Element {
  const { state } = picture
  const graph = graphOf(state, plan)
  const laid = useLayout(graph)
  const faces = facesOf(state, graph)
  const path = pathOf(state, graph.ids)
  const critical = useSame(path.chain.tasks.length < 2 ? [] : path.chain.tasks.flatMap((id) => graph.numberOf.get(id) ?? []))
  const open = task === null ? -1 : (graph.numberOf.get(task) ?? -1)
  const [cursor, setCursor] = useState(open)
  useEffect(() => setCursor(open), [open])
  const show = useCallback(
    (number: number): void => {
      const id = graph.ids[number]
      if (id !== undefined) goTo("plan", [plan ?? NO_PLAN, id], query === "" ? {} : { q: query })
    },
    [graph, plan, query],
  )
  return (
    <div class="plan">
      <div class="plan-head">
        <PlanChoice state={state} plan={plan} />
        <Counts faces={faces} />
        <PathWords path={path} isLoose={plan === null} />
        <LayoutWords how={laid.how} tasks={graph.ids.length} />
      </div>
      <div class={`plan-parts${open < 0 ? "" : " has-panel"}`}>
        {graph.ids.length > DRAWN_MAX ? (
          <p class="graph">More than {count(DRAWN_MAX)} tasks are not drawn: no graph of that size can be read. The list has all of them.</p>
        ) : (
          <GraphCanvas
            graph={graph}
            layout={laid.layout}
            faces={faces}
            critical={critical}
            cursor={cursor}
            open={open}
            label={`Graph of ${count(graph.ids.length)} tasks. Arrow keys move it, plus and minus zoom, 0 shows all of it, Enter opens the task at the cursor. The list of tasks has the same.`}
            onOpen={show}
          />
        )}
        <TaskList
          graph={graph}
          faces={faces}
          critical={critical}
          cursor={cursor}
          open={open}
          query={query}
          onQuery={(text) => setFilters(text === "" ? {} : { q: text })}
          onCursor={setCursor}
          onOpen={show}
        />
        {task === null || open < 0 ? null : <TaskPanel key={task} picture={picture} id={task} onClose={() => goTo("plan", [plan ?? NO_PLAN])} />}
      </div>
    </div>
  )
}

/** The list that was there before, where the new one says the same: what is drawn of it need not be drawn again. */
function useSame(list: readonly number[]): readonly number[] {
  const before = useRef(list)
  if (list.length !== before.current.length || list.some((item, at) => item !== before.current[at])) before.current = list
  return before.current
}

/** Several plans, and what belongs to none. */
function PlanChoice({ state, plan }: { state: Workspace; plan: PlanId | null }): JSX.Element {
  const plans = [...state.plans.values()].reverse()
  const loose = looseTasks(state).length
  return (
    <label class="plan-choice">
      Plan{" "}
      <select value={plan ?? NO_PLAN} onChange={({ currentTarget }) => goTo("plan", [currentTarget.value])}>
        {plans.map(({ id, title, taskCount, cancelled }) => (
          <option key={id} value={id}>
            {`${id} · ${title} · ${count(taskCount)} tasks${cancelled === null ? "" : " · cancelled"}`}
          </option>
        ))}
        {loose === 0 && plan !== null ? null : <option value={NO_PLAN}>{`${count(loose)} ${loose === 1 ? "task" : "tasks"} outside of plans`}</option>}
      </select>
    </label>
  )
}

function Counts({ faces }: { faces: readonly Face[] }): JSX.Element {
  const counts = new Map<TaskState, number>()
  for (const { state } of faces) counts.set(state, (counts.get(state) ?? 0) + 1)
  return (
    <ul class="counts" aria-label="Tasks by state">
      {ORDER.flatMap((state) => {
        const number = counts.get(state)
        return number === undefined
          ? []
          : [
              <li key={state}>
                <State of={state} /> <b class="number">{count(number)}</b>
              </li>,
            ]
      })}
    </ul>
  )
}

const ORDER: readonly TaskState[] = ["in_progress", "claimed", "blocked", "review", "ready", "waiting", "unreachable", "failed", "completed", "cancelled"]

type Path = { chain: Chain; isLeft: boolean }

/** The chain that decides when it is done; once nothing is open, the longest one that there was. By estimates. */
function pathOf(state: Workspace, ids: readonly TaskId[]): Path {
  const real = ids.filter((id) => state.specs.get(id)?.filler !== true)
  const isLeft = real.some((id) => !isClosed(state.tasks.get(id)?.status ?? "cancelled"))
  return { isLeft, chain: isLeft ? chainLeft(state, real) : longestChain(state, real, (id) => state.specs.get(id)?.estimateMs ?? 0) }
}

function PathWords({ path: { chain, isLeft }, isLoose }: { path: Path; isLoose: boolean }): JSX.Element | null {
  if (chain.tasks.length < 2 || isLoose) return null
  return (
    <span>
      <span class="critical">critical path</span> {count(chain.tasks.length)} tasks{chain.ms === 0 ? "" : `, ${duration(chain.ms)}`}{" "}
      <span class="quiet">{isLeft ? "left by estimates, the thick line" : "by estimates, the thick line"}</span>
    </span>
  )
}

function LayoutWords({ how, tasks }: { how: Laid["how"]; tasks: number }): JSX.Element | null {
  if (how === "careful" || tasks > DRAWN_MAX) return null
  return (
    <span class="quiet" role="status">
      {how === "quick" ? "laying it out with more care …" : "laid out in columns only: it is too large for more care"}
    </span>
  )
}

/** What the address means at this moment; null where there is nothing of the kind. Without one: the newest plan that is not done, else the newest. */
function placeOf(state: Workspace, [first, second]: readonly string[]): { plan: PlanId | null; task: TaskId | null } | null {
  if (first === undefined) {
    const plans = [...state.plans.keys()].reverse()
    const plan = plans.find((id) => hasOpen(state, id)) ?? plans[0]
    if (plan !== undefined) return { plan, task: null }
    return state.tasks.size === 0 ? null : { plan: null, task: null }
  }
  const task = state.tasks.get(second ?? first)
  if (first === NO_PLAN) return { plan: null, task: task?.plan === null ? task.id : null }
  if (state.plans.has(first)) return { plan: first, task: task?.plan === first ? task.id : null }
  return task === undefined ? null : { plan: task.plan, task: task.id }
}

function hasOpen(state: Workspace, plan: PlanId): boolean {
  const { completed, failed, cancelled } = state.board.countsOf(plan)
  return completed + failed + cancelled < state.board.tasksOf(plan).size
}
