import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Output } from "../../contract/operations.ts"
import { ask } from "../live.ts"
import { isNow } from "../moment.ts"
import { Ago, NotRecorded, Text, To } from "../text.tsx"
import { failureText } from "../failure.ts"

/** Between two looks, in ms: the hub itself looks no oftener. */
const LOOK_MS = 10_000
/** Files that one row names. */
const NAMED_MAX = 8

/** What would conflict between agents' work if it were merged now: git tells the hub, and it is in no ledger. */
export function ForeseenConflicts(): JSX.Element {
  const [found, setFound] = useState<Output<"files.conflicts"> | string | null>(null)
  const isLooking = isNow.value
  useEffect(() => {
    if (!isLooking) return undefined
    const look = (): void => {
      if (document.visibilityState !== "visible") return
      ask("files.conflicts", {}).then(setFound, (error: unknown) => setFound(failureText(error)))
    }
    look()
    const timer = setInterval(look, LOOK_MS)
    return () => clearInterval(timer)
  }, [isLooking])
  return (
    <section aria-labelledby="foreseen">
      <h2 id="foreseen">Conflicts between branches</h2>
      {isLooking ? <Told found={found} /> : <NotRecorded />}
    </section>
  )
}

function Told({ found }: { found: Output<"files.conflicts"> | string | null }): JSX.Element {
  if (found === null) return <p class="quiet">Git is asked …</p>
  if (typeof found === "string" || !found.known)
    return (
      <p class="quiet">
        Not known: <Text of={typeof found === "string" ? found : (found.why ?? "")} max={300} />. Where the repository is: <code>skein files conflicts</code>
      </p>
    )
  const { conflicts, atMs } = found
  return (
    <>
      {conflicts.length === 0 ? <p class="quiet">None: every agent's work, committed or not, would merge with every other's.</p> : null}
      <ul class="plain">
        {conflicts.map(({ a, b, files }) => (
          <li key={`${a} ${b}`}>
            <span class="state state-blocked">
              <span aria-hidden="true">◼</span> would conflict
            </span>{" "}
            <To view="agents" part={a} /> and <To view="agents" part={b} /> in{" "}
            {files.slice(0, NAMED_MAX).map((file, at) => (
              <span key={file}>
                {at === 0 ? "" : ", "}
                <Text of={file} max={160} />
              </span>
            ))}
            {files.length > NAMED_MAX ? ` and ${files.length - NAMED_MAX} more` : ""}
          </li>
        ))}
      </ul>
      {atMs === null ? null : (
        <p class="quiet">
          merged in memory <Ago atMs={atMs} />
        </p>
      )}
    </>
  )
}
