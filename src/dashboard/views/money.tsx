import type { JSX } from "preact"
import { breakerViews, type BreakerView } from "../../core/breaker-view.ts"
import { type BudgetView, budgetViews } from "../../core/budget-view.ts"
import { spendingBy, type SpendingRow } from "../../core/spending-view.ts"
import { totalOf, type UsageBy } from "../../core/usage.ts"
import type { Workspace } from "../../core/workspace.ts"
import { showUsd } from "../../core/money.ts"
import { Bar } from "../bar.tsx"
import { count, duration } from "../figures.ts"
import { clock } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { type Column, SortedTable } from "../sorted-table.tsx"
import { Ago, Left, Money, State, Text, To } from "../text.tsx"
import type { ViewProps } from "../views.ts"
import { PolicyDecisions } from "./policy-decisions.tsx"

/** What money may be spent, was spent and is set aside; what keeps work away; what the policy decided. */
export function MoneyView({ picture }: ViewProps): JSX.Element {
  const { state } = picture
  const rows = usePaced(picture, allSpending)
  const total = totalOf(rows.task)
  const reserved = rows.task.reduce((sum, { reservedMicroUsd }) => sum + reservedMicroUsd, 0)
  return (
    <>
      <p class="money-total">
        Spent <b>{showUsd(total.costMicroUsd)}</b>, set aside <b>{showUsd(reserved)}</b>
        {total.requests === 0 ? "" : `, ${count(total.requests)} model ${total.requests === 1 ? "call" : "calls"}`}
        {total.unpriced === 0 ? "" : `; ${count(total.unpriced)} of them have no known price and are missing: give their models one in .skein/config.yaml`}
      </p>
      <div class="money-tables">
        <Budgets budgets={budgetViews(state, null, clock.value)} />
        <Claims state={state} />
      </div>
      <div class="money-parts">
        {PARTS.map(({ by, title }) => (
          <section key={by} aria-labelledby={`money-${by}`}>
            <h2 id={`money-${by}`}>{title}</h2>
            <Spending by={by} rows={rows[by]} />
          </section>
        ))}
      </div>
      <div class="money-tables">
        <Breakers breakers={breakerViews(state, clock.value)} />
        <PolicyDecisions picture={picture} />
      </div>
    </>
  )
}

const PARTS = [
  { by: "agent", title: "By agent" },
  { by: "task", title: "By task" },
  { by: "model", title: "By model" },
  { by: "day", title: "By day (UTC)" },
] as const satisfies readonly { by: UsageBy; title: string }[]

function allSpending(state: Workspace): Record<(typeof PARTS)[number]["by"], SpendingRow[]> {
  return { agent: spendingBy(state, "agent"), task: spendingBy(state, "task"), model: spendingBy(state, "model"), day: spendingBy(state, "day") }
}

function Budgets({ budgets }: { budgets: readonly BudgetView[] }): JSX.Element {
  const columns: Column<BudgetView>[] = [
    { title: "budget", order: ({ scope }) => scope, cell: ({ scope, windowMs }) => <Scope scope={scope} windowMs={windowMs} /> },
    { title: "spent, set aside, left", cell: (budget) => <BudgetBar budget={budget} /> },
    { title: "limit", isNumber: true, order: ({ limitMicroUsd }) => limitMicroUsd, cell: ({ limitMicroUsd }) => <Money microUsd={limitMicroUsd} /> },
    { title: "spent", isNumber: true, order: spentOf, cell: (budget) => <Money microUsd={spentOf(budget)} /> },
    {
      title: "reserved",
      isNumber: true,
      order: ({ reservedMicroUsd }) => reservedMicroUsd,
      cell: ({ reservedMicroUsd }) => <Money microUsd={reservedMicroUsd} />,
    },
    { title: "left", isNumber: true, order: ({ freeMicroUsd }) => freeMicroUsd, cell: ({ freeMicroUsd }) => <Money microUsd={freeMicroUsd} /> },
    { title: "warns at", cell: ({ warnPercent }) => warnPercent.map((percent) => `${percent} %`).join(", ") },
    { title: "state", cell: (budget) => <BudgetState budget={budget} /> },
  ]
  return (
    <section aria-labelledby="budgets">
      <h2 id="budgets">Budgets</h2>
      {budgets.length === 0 ? (
        <p class="quiet">
          There is no limit on money. <code>skein budget set workspace 50 --window day</code> sets one.
        </p>
      ) : (
        <SortedTable name="Budgets" columns={columns} rows={budgets} keyOf={({ budget }) => budget} />
      )}
    </section>
  )
}

function spentOf({ settledMicroUsd, overrunMicroUsd }: BudgetView): number {
  return settledMicroUsd + overrunMicroUsd
}

const WINDOWS: Readonly<Record<number, string>> = { 3_600_000: "hour", 86_400_000: "day", 604_800_000: "week" }

function Scope({ scope, windowMs }: { scope: string; windowMs: number | null }): JSX.Element {
  const slash = scope.indexOf("/")
  const [kind, name] = slash < 0 ? [scope, null] : [scope.slice(0, slash), scope.slice(slash + 1)]
  const view = kind === "agent" ? "agents" : kind === "plan" || kind === "task" ? "plan" : null
  return (
    <>
      <Text of={kind} max={80} />{" "}
      {name === null ? null : view === null ? (
        <Text of={name} max={200} />
      ) : (
        <To view={view} part={name}>
          <Text of={name} max={160} />
        </To>
      )}
      {windowMs === null ? null : <span class="quiet"> each {WINDOWS[windowMs] ?? duration(windowMs)}</span>}
    </>
  )
}

function BudgetBar({ budget }: { budget: BudgetView }): JSX.Element {
  const { limitMicroUsd, settledMicroUsd, overrunMicroUsd, reservedMicroUsd, freeMicroUsd, warnPercent } = budget
  // What went beyond the limit has its place in the bar too.
  const whole = Math.max(limitMicroUsd, settledMicroUsd + overrunMicroUsd + reservedMicroUsd, 1)
  const percent = limitMicroUsd === 0 ? "" : `, ${Math.round((100 * spentOf(budget)) / limitMicroUsd)} % of the limit`
  return (
    <Bar
      label={`spent ${showUsd(spentOf(budget))}${percent}, set aside ${showUsd(reservedMicroUsd)}, left ${showUsd(freeMicroUsd)}`}
      parts={[
        { kind: "spent", share: settledMicroUsd / whole },
        { kind: "over", share: overrunMicroUsd / whole },
        { kind: "reserved", share: reservedMicroUsd / whole },
      ]}
      marks={warnPercent.map((at) => ((at / 100) * limitMicroUsd) / whole)}
    />
  )
}

function BudgetState({ budget }: { budget: BudgetView }): JSX.Element {
  const { closedAtMs, freeMicroUsd, limitMicroUsd, warnPercent, windowEndsAtMs } = budget
  const reached = warnPercent.findLast((percent) => 100 * spentOf(budget) >= percent * limitMicroUsd)
  return (
    <>
      {closedAtMs !== null ? (
        <span class="state state-failed">
          <span aria-hidden="true">✕</span> closed since <Ago atMs={closedAtMs} />
        </span>
      ) : freeMicroUsd <= 0 ? (
        <span class="state state-blocked">
          <span aria-hidden="true">◼</span> nothing left
        </span>
      ) : reached !== undefined ? (
        <span class="state state-review">
          <span aria-hidden="true">▲</span> over {reached} %
        </span>
      ) : (
        <span class="state state-completed">
          <span aria-hidden="true">●</span> open
        </span>
      )}
      {windowEndsAtMs === null ? null : (
        <span class="quiet">
          {" "}
          anew in <Left untilMs={windowEndsAtMs} />
        </span>
      )}
    </>
  )
}

type Claim = { task: string; agent: string; usedMicroUsd: number; leftMicroUsd: number; stopAtMs: number | null }

/** Claims that have money set aside; whoever went beyond has to hand over in time. */
function Claims({ state }: { state: Workspace }): JSX.Element | null {
  if (state.reservations.size === 0) return null
  const claims = [...state.reservations.values()].map(({ task, agent, usedMicroUsd, left, stopAtMs }): Claim => {
    return { task, agent, usedMicroUsd, leftMicroUsd: Math.max(0, Math.min(...Object.values(left))), stopAtMs }
  })
  const columns: Column<Claim>[] = [
    { title: "task", order: ({ task }) => task, cell: ({ task }) => <To view="plan" part={task} /> },
    { title: "agent", order: ({ agent }) => agent, cell: ({ agent }) => <To view="agents" part={agent} /> },
    { title: "used", isNumber: true, order: ({ usedMicroUsd }) => usedMicroUsd, cell: ({ usedMicroUsd }) => <Money microUsd={usedMicroUsd} /> },
    { title: "still set aside", isNumber: true, order: ({ leftMicroUsd }) => leftMicroUsd, cell: ({ leftMicroUsd }) => <Money microUsd={leftMicroUsd} /> },
    {
      title: "has to hand over",
      cell: ({ stopAtMs }) =>
        stopAtMs === null ? null : (
          <span class="state state-failed">
            <span aria-hidden="true">▲</span> within <Left untilMs={stopAtMs} />
          </span>
        ),
    },
  ]
  return (
    <section aria-labelledby="claims">
      <h2 id="claims">Set aside for tasks at work</h2>
      <SortedTable name="Claims with money set aside" columns={columns} rows={claims} keyOf={({ task }) => task} />
    </section>
  )
}

function Spending({ by, rows }: { by: (typeof PARTS)[number]["by"]; rows: readonly SpendingRow[] }): JSX.Element {
  if (rows.length === 0) return <p class="quiet">Nothing was spent yet.</p>
  const most = rows.reduce((max, { costMicroUsd, reservedMicroUsd }) => Math.max(max, costMicroUsd + reservedMicroUsd), 1)
  const hasCalls = rows.some(({ requests }) => requests > 0)
  const columns: Column<SpendingRow>[] = [
    { title: by, order: ({ key }) => key, cell: ({ key }) => <Key by={by} name={key} /> },
    {
      title: "spent and set aside",
      cell: ({ costMicroUsd, reservedMicroUsd }) => (
        <Bar
          label={`spent ${showUsd(costMicroUsd)}, set aside ${showUsd(reservedMicroUsd)}`}
          parts={[
            { kind: "spent", share: costMicroUsd / most },
            { kind: "reserved", share: reservedMicroUsd / most },
          ]}
        />
      ),
    },
    { title: "spent", isNumber: true, order: ({ costMicroUsd }) => costMicroUsd, cell: (row) => <Spent row={row} /> },
    ...(by === "day"
      ? []
      : [
          {
            title: "reserved",
            isNumber: true,
            order: ({ reservedMicroUsd }: SpendingRow) => reservedMicroUsd,
            cell: ({ reservedMicroUsd }: SpendingRow) => <Money microUsd={reservedMicroUsd} />,
          },
        ]),
    ...(hasCalls
      ? [
          { title: "calls", isNumber: true, order: ({ requests }: SpendingRow) => requests, cell: ({ requests }: SpendingRow) => count(requests) },
          { title: "tokens", isNumber: true, order: tokensOf, cell: (row: SpendingRow) => count(tokensOf(row)) },
        ]
      : []),
  ]
  return <SortedTable name={`Money by ${by}`} columns={columns} rows={rows} keyOf={({ key }) => key ?? " "} />
}

function Key({ by, name }: { by: string; name: string | null }): JSX.Element {
  if (name === null) return <span class="quiet">{by === "task" ? "no task" : "not said"}</span>
  if (by === "agent") return <To view="agents" part={name} />
  return by === "task" ? <To view="plan" part={name} /> : <Text of={name} max={120} />
}

function Spent({ row: { costMicroUsd, unpriced } }: { row: SpendingRow }): JSX.Element {
  return (
    <>
      <Money microUsd={costMicroUsd} />
      {unpriced === 0 ? null : (
        <span class="quiet" title={`${count(unpriced)} calls without a known price`}>
          {" "}
          + ?
        </span>
      )}
    </>
  )
}

function tokensOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: SpendingRow): number {
  return inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens
}

function Breakers({ breakers }: { breakers: readonly BreakerView[] }): JSX.Element {
  const columns: Column<BreakerView>[] = [
    { title: "breaker", order: ({ breaker }) => breaker, cell: ({ breaker }) => <Text of={breaker} max={200} /> },
    { title: "state", order: ({ phase }) => phase, cell: ({ phase }) => <State of={phase} /> },
    {
      title: "why",
      cell: ({ cause, reason }) => (
        <>
          {cause ?? ""} {reason === null ? null : <Text of={reason} />}
        </>
      ),
    },
    { title: "since", order: ({ sinceMs }) => sinceMs, cell: ({ sinceMs }) => (sinceMs === null ? null : <Ago atMs={sinceMs} />) },
    {
      title: "until",
      order: ({ untilMs }) => untilMs,
      cell: ({ phase, untilMs }) => (phase !== "open" ? null : untilMs === null ? "somebody resets it" : <Left untilMs={untilMs} />),
    },
    { title: "failures", isNumber: true, order: ({ failures }) => failures, cell: ({ failures, outcomes }) => `${count(failures)} of ${count(outcomes)}` },
    { title: "throttled", isNumber: true, order: ({ throttled }) => throttled, cell: ({ throttled }) => count(throttled) },
    { title: "probe", cell: ({ probe }) => (probe === null ? null : <To view="plan" part={probe} />) },
  ]
  return (
    <section aria-labelledby="breakers">
      <h2 id="breakers">Breakers</h2>
      {breakers.length === 0 ? (
        <p class="quiet">None has seen a failure: all are closed, and keep nothing away.</p>
      ) : (
        <SortedTable name="Breakers" columns={columns} rows={breakers} keyOf={({ breaker }) => breaker} />
      )}
    </section>
  )
}
