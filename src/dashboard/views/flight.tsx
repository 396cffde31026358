import type { JSX } from "preact"
import { memo } from "preact/compat"
import type { Agent } from "../../core/agent.ts"
import { type Task } from "../../core/task.ts"
import { usageBy } from "../../core/usage.ts"
import { taskState } from "../../core/view.ts"
import { hubStatus, type Status } from "../live.ts"
import { isNow } from "../moment.ts"
import { Left, Money, NotRecorded, State, Text, To } from "../text.tsx"
import type { ViewProps } from "../views.ts"

export function Flight({ picture }: ViewProps): JSX.Element {
  const { state } = picture
  const agents = [...state.agents.values()].filter(({ status }) => status === "present").sort((a, b) => (a.name < b.name ? -1 : 1))
  const costs = new Map(usageBy(state, "agent").map(({ key, costMicroUsd }) => [key, costMicroUsd]))
  return (
    <>
      <h2>Agents</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>agent</th>
              <th>presence</th>
              <th>task</th>
              <th>state</th>
              <th>lease left</th>
              <th>last words</th>
              <th class="number">cost</th>
            </tr>
          </thead>
          <tbody>
            {agents.map((agent) => {
              const [task] = state.board.heldBy(agent.name)
              return (
                <Row
                  key={agent.name}
                  agent={agent}
                  task={task ?? null}
                  presence={presenceOf(agent.name)}
                  costMicroUsd={costs.get(agent.name) ?? 0}
                  state={task === undefined ? null : taskState(state, task)}
                />
              )
            })}
          </tbody>
        </table>
      </div>
    </>
  )
}

function presenceOf(name: string): Status["agents"][number]["presence"] | null {
  return isNow.value ? (hubStatus.value?.agents.find((agent) => agent.name === name)?.presence ?? null) : null
}

const Row = memo(function Row({
  agent,
  task,
  presence,
  costMicroUsd,
  state,
}: {
  agent: Agent
  task: Task | null
  presence: string | null
  costMicroUsd: number
  state: string | null
}): JSX.Element {
  return (
    <tr>
      <th scope="row">
        <To view="agents" part={agent.name} />
      </th>
      <td>{presence === null ? <NotRecorded /> : <State of={presence} />}</td>
      <td>{task === null ? null : <To view="plan" part={task.id} />}</td>
      <td>{state === null ? null : <State of={state} />}</td>
      <td>{task?.leaseEndsAtMs ? <Left untilMs={task.leaseEndsAtMs} /> : null}</td>
      <td>{task?.note ? <Text of={task.note} max={120} /> : null}</td>
      <td class="number">
        <Money microUsd={costMicroUsd} />
      </td>
    </tr>
  )
})
