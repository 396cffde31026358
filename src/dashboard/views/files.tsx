import type { JSX } from "preact"
import { useMemo } from "preact/hooks"
import { type HoldingView, holdingViews } from "../../core/files-view.ts"
import { type Overlap, overlapsOf } from "../../core/files-overlap.ts"
import { pathFault } from "../../core/glob.ts"
import type { Workspace } from "../../core/workspace.ts"
import { count } from "../figures.ts"
import { clock } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { setFilters } from "../route.ts"
import { type Column, SortedTable } from "../sorted-table.tsx"
import { Ago, Left, Text, To } from "../text.tsx"
import type { ViewProps } from "../views.ts"
import { ForeseenConflicts } from "./foreseen-conflicts.tsx"

/** Who holds which files and until when, who would get in whose way, and what would conflict. */
export function FilesView({ picture, filters }: ViewProps): JSX.Element {
  const { state } = picture
  const asked = filters["path"] ?? ""
  const nowMs = clock.value
  const all = holdingViews(state, { agent: null, path: null }, nowMs)
  const overlaps = usePaced(picture, overlapsOf)
  const fault = asked === "" ? null : pathFault(asked)
  const covering = asked === "" || fault !== null ? [] : holdingViews(state, { agent: null, path: asked }, nowMs)
  const shown =
    asked === ""
      ? all
      : all.filter((holding) => covering.some(({ fence, lease }) => fence === holding.fence && lease === holding.lease) || says(holding, asked))
  return (
    <>
      <label class="field held-question">
        Who holds a file?
        <input
          type="search"
          data-search
          placeholder="src/x.ts, or part of a glob, an agent, a task"
          value={asked}
          onInput={({ currentTarget: { value } }) => setFilters(value === "" ? {} : { path: value })}
        />
      </label>
      <p class="held-answer" role="status">
        {asked === "" ? null : fault !== null ? <Text of={`${fault.message}. ${fault.remedy}`} /> : <Answer path={asked} covering={covering} />}
      </p>
      <div class="files-parts">
        <section aria-labelledby="held">
          <h2 id="held">
            Held files{" "}
            <span class="quiet">
              {asked === "" ? "" : `${count(shown.length)} of `}
              {count(all.length)}
            </span>
          </h2>
          {all.length === 0 ? (
            <p class="quiet">
              Nobody holds any. A task that names what it touches holds it while somebody works on it; <code>skein files reserve GLOB</code> holds others.
            </p>
          ) : (
            <Held holdings={shown} />
          )}
        </section>
        <Overlaps overlaps={overlaps} state={state} />
        <ForeseenConflicts />
      </div>
    </>
  )
}

/** The question's answer in a sentence. */
function Answer({ path, covering }: { path: string; covering: readonly HoldingView[] }): JSX.Element {
  if (covering.length === 0)
    return (
      <>
        Nobody holds <Text of={path} />.
      </>
    )
  return (
    <>
      {covering.map((holding, at) => (
        <span key={`${holding.fence} ${holding.lease ?? ""}`}>
          {at === 0 ? null : "; "}
          <To view="agents" part={holding.agent} /> holds <Text of={path} /> {holding.mode === "shared" ? "together with others" : "alone"}
          {holding.task === null ? null : (
            <>
              {" "}
              for <To view="plan" part={holding.task} />
            </>
          )}
          {holding.endsAtMs === null ? (
            ", until its review"
          ) : (
            <>
              , for {/* It goes on each second: whoever listens need not hear that. */}
              <span aria-live="off">
                <Left untilMs={holding.endsAtMs} />
              </span>
            </>
          )}
        </span>
      ))}
      .
    </>
  )
}

const COLUMNS: readonly Column<HoldingView>[] = [
  { title: "files", order: ({ globs }) => globs[0] ?? null, cell: ({ globs }) => <Globs globs={globs} /> },
  { title: "agent", order: ({ agent }) => agent, cell: ({ agent }) => <To view="agents" part={agent} /> },
  {
    title: "how",
    order: ({ mode }) => mode,
    cell: ({ mode }) => (
      <span class="state">
        <span aria-hidden="true">{mode === "exclusive" ? "■" : "◧"}</span> {mode}
      </span>
    ),
  },
  { title: "task", order: ({ task }) => task, cell: ({ task }) => (task === null ? null : <To view="plan" part={task} />) },
  { title: "left", order: ({ endsAtMs }) => endsAtMs, cell: ({ endsAtMs }) => (endsAtMs === null ? "until its review" : <Left untilMs={endsAtMs} />) },
  { title: "since", order: ({ sinceMs }) => sinceMs, cell: ({ sinceMs }) => <Ago atMs={sinceMs} /> },
  { title: "why", cell: ({ reason, lease }) => (lease === null ? <span class="quiet">the task touches them</span> : <Text of={reason} />) },
  {
    title: "lease",
    order: ({ fence }) => fence,
    cell: ({ fence, lease }) => (
      <To view="ledger" part={String(fence)}>
        {lease ?? `entry ${count(fence)}`}
      </To>
    ),
  },
]

function Held({ holdings }: { holdings: readonly HoldingView[] }): JSX.Element {
  if (holdings.length === 0) return <p class="quiet">None of them is like that.</p>
  return <SortedTable name="Held files" columns={COLUMNS} rows={holdings} keyOf={({ fence, lease }) => `${fence} ${lease ?? ""}`} />
}

/** Globs that a row names. */
const GLOBS_SHOWN = 6

function Globs({ globs }: { globs: readonly string[] }): JSX.Element {
  return (
    <>
      {globs.slice(0, GLOBS_SHOWN).map((glob, at) => (
        <div key={at}>
          <code>
            <Text of={glob} max={200} />
          </code>
        </div>
      ))}
      {globs.length > GLOBS_SHOWN ? <span class="quiet">and {count(globs.length - GLOBS_SHOWN)} more</span> : null}
    </>
  )
}

/** What the ledger foresees: who shares files with whom, and which tasks that are ready wait for files. */
function Overlaps({ overlaps, state }: { overlaps: readonly Overlap[]; state: Workspace }): JSX.Element {
  const columns = useMemo(() => overlapColumns(), [])
  return (
    <section aria-labelledby="overlaps">
      <h2 id="overlaps">Who is in whose way</h2>
      {overlaps.length === 0 ? (
        <p class="quiet">Nobody: no ready task touches what others hold, and nobody works on the same files as somebody else.</p>
      ) : (
        <SortedTable name="Who is in whose way" columns={columns} rows={overlaps.filter(({ task }) => task === null || state.tasks.has(task))} keyOf={keyOf} />
      )}
    </section>
  )
}

function keyOf({ task, agent, other, path, theirs }: Overlap): string {
  return [task ?? "", agent ?? "", other, path, theirs].join("\n")
}

function overlapColumns(): Column<Overlap>[] {
  return [
    {
      title: "who",
      order: ({ task, agent }) => task ?? agent,
      cell: ({ task, agent }) =>
        task === null ? (
          <To view="agents" part={agent ?? ""} />
        ) : (
          <>
            <To view="plan" part={task} /> <span class="quiet">is ready, and waits for files</span>
          </>
        ),
    },
    { title: "with whom", order: ({ other }) => other, cell: ({ other }) => <To view="agents" part={other} /> },
    {
      title: "files",
      cell: ({ glob, theirs }) => (
        <>
          <code>
            <Text of={glob} max={160} />
          </code>{" "}
          {glob === theirs ? null : (
            <>
              meets{" "}
              <code>
                <Text of={theirs} max={160} />
              </code>
            </>
          )}
        </>
      ),
    },
    {
      title: "for example",
      cell: ({ path }) => (
        <code>
          <Text of={path} max={160} />
        </code>
      ),
    },
    {
      title: "what it means",
      cell: ({ task }) => (task === null ? "both may edit them: what they write may conflict" : "nobody is given it until they are free"),
    },
  ]
}

function says({ globs, agent, task, reason }: HoldingView, asked: string): boolean {
  const text = asked.toLowerCase()
  return [...globs, agent, task ?? "", reason].some((word) => word.toLowerCase().includes(text))
}
