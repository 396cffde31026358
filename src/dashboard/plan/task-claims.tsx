import type { JSX } from "preact"
import { candidatesFor } from "../../core/candidates.ts"
import { type Assignment, assignmentsOf, fencesOf } from "../../core/claims-view.ts"
import type { TaskView } from "../../core/view.ts"
import type { Workspace } from "../../core/workspace.ts"
import { count } from "../figures.ts"
import type { Picture } from "../moment.ts"
import { Ago, Text, To } from "../text.tsx"
import { Part } from "./task-panel-part.tsx"
import { useEntries } from "./stored-entries.ts"

const RULES = { named: "asked for it", order: "first that fitted", assigned: "best of those who waited", probe: "tried out" } as const
/** Agents that are named as those who could take it. */
const NAMED_MAX = 6

/** Who got it and why, from the claims' own entries; and where nobody has it, who could take it. */
export function TaskClaims({ picture: { state }, task }: { picture: Picture; task: TaskView }): JSX.Element {
  const { entries, trouble } = useEntries(fencesOf(task))
  const isOpen = task.owner === null && task.closedAtMs === null
  return (
    <>
      <Part title="Why assigned">
        {trouble !== null ? (
          <p class="quiet">
            <Text of={trouble} />
          </p>
        ) : entries === null ? (
          <p class="quiet">Reading the claims …</p>
        ) : entries.length === 0 ? (
          <p class="quiet">Nobody has claimed it yet.</p>
        ) : (
          <ol class="plain" reversed>
            {assignmentsOf(task, entries).map((claim) => (
              <Claim key={claim.fence} claim={claim} />
            ))}
          </ol>
        )}
      </Part>
      {isOpen ? <Candidates state={state} task={task} /> : null}
    </>
  )
}

function Claim({ claim: { agent, atMs, why, end, fence } }: { claim: Assignment }): JSX.Element {
  return (
    <li>
      <To view="agents" part={agent} />: {why === null ? "why was not recorded" : RULES[why.rule]}{" "}
      <span class="quiet">
        {why === null
          ? ""
          : `${[share("match", why.match), share("chance", why.chance), why.score === undefined ? "" : `score ${why.score.toFixed(2)}`].filter((word) => word !== "").join(", ")} · ${count(why.ready)} ready, ${count(why.waiting)} others waiting · `}
        <To view="ledger" part={String(fence)}>
          entry {count(fence)}
        </To>
        , <Ago atMs={atMs} />
        {end === null ? "" : `, ended: ${end.replace(/^task\./, "").replaceAll("_", " ")}`}
      </span>
    </li>
  )
}

function Candidates({ state, task }: { state: Workspace; task: TaskView }): JSX.Element {
  const all = candidatesFor(state, task.id)
  const fit = all.filter(({ isEligible }) => isEligible).length
  return (
    <Part title="Who could take it">
      <p class="quiet">
        {all.length === 0
          ? "There are no agents."
          : `${count(fit)} of ${count(all.length)} agents meet what it requires${fit === 0 ? ": it waits for one that does" : ""}.`}
      </p>
      <ul class="plain">
        {all.slice(0, NAMED_MAX).map(({ agent, isEligible, match, chance, tasks }) => (
          <li key={agent}>
            <To view="agents" part={agent} />{" "}
            <span class="quiet">
              {isEligible ? "" : "not eligible, "}
              {[share("match", match), share("chance", chance), tasks === 0 ? "free" : `at work on ${count(tasks)}`].join(", ")}
            </span>
          </li>
        ))}
      </ul>
    </Part>
  )
}

function share(name: string, value: number | undefined): string {
  return value === undefined ? "" : `${name} ${Math.round(100 * value)} %`
}
