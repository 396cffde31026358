import type { JSX } from "preact"
import type { Agent } from "../../core/agent.ts"
import { byName } from "../../core/ids.ts"
import { count } from "../figures.ts"
import { LinkList } from "../link-list.tsx"
import { hubStatus } from "../live.ts"
import { isNow, type Picture } from "../moment.ts"
import { hrefOf, setFilters } from "../route.ts"
import { State, Text } from "../text.tsx"
import type { ViewProps } from "../views.ts"
import { OneAgent } from "./one-agent.tsx"

/** Agents listed at once; the search finds the others. */
const SHOWN = 300

/** Every agent, and one of them from near. */
export function Agents({ picture, parts, filters }: ViewProps): JSX.Element {
  const { state } = picture
  const [name = ""] = parts
  const agent = state.agents.get(name)
  return (
    <div class={name === "" ? "pair" : "pair pair-open"}>
      <section class="pair-list" aria-label="Agents">
        <div class="tools">
          <input
            data-search
            type="search"
            aria-label="find agents"
            placeholder="find agents  /"
            value={filters["q"] ?? ""}
            onInput={({ currentTarget: { value } }) => setFilters(value === "" ? {} : { q: value })}
          />
        </div>
        <List picture={picture} open={name} wanted={(filters["q"] ?? "").toLowerCase()} />
      </section>
      <section class="pair-rest" aria-label={name === "" ? "No agent chosen" : `Agent ${name}`}>
        {name === "" ? (
          <p class="quiet">Choose an agent.</p>
        ) : agent === undefined ? (
          <p>
            There is no agent <Text of={name} max={80} /> at this moment.
          </p>
        ) : (
          <OneAgent key={name} picture={picture} agent={agent} />
        )}
      </section>
    </div>
  )
}

function List({ picture: { state }, open, wanted }: { picture: Picture; open: string; wanted: string }): JSX.Element {
  const presence = new Map(isNow.value ? hubStatus.value?.agents.map((agent) => [agent.name, agent.presence]) : [])
  const fits = ({ name, kind, role, model }: Agent): boolean => `${name} ${kind} ${role} ${model ?? ""}`.toLowerCase().includes(wanted)
  const found = [...state.agents.values()]
    .filter(fits)
    .sort((a, b) => Number(a.status === "retired") - Number(b.status === "retired") || byName(a.name, b.name))
  return (
    <>
      {found.length === 0 ? (
        <p class="quiet">{state.agents.size === 0 ? "There are none yet: skein agent add, or skein swarm spawn." : "No agent is called so."}</p>
      ) : null}
      <LinkList rows={found.slice(0, SHOWN)} keyOf={({ name }) => name} hrefOf={({ name }) => hrefOf("agents", [name])} open={open}>
        {({ name, kind, role, status }) => (
          <>
            <span class="title">
              <Text of={name} max={64} />
            </span>
            <span class="quiet">
              <Text of={kind} max={40} />
              {role === "worker" ? "" : `, ${role}`}{" "}
              <State of={status === "retired" ? status : (presence.get(name) ?? (isNow.value ? "offline" : "not recorded"))} />
            </span>
          </>
        )}
      </LinkList>
      {found.length > SHOWN ? <p class="quiet">{count(found.length - SHOWN)} more: search for them.</p> : null}
    </>
  )
}
