import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Output } from "../../contract/operations.ts"
import { ask } from "../live.ts"
import { isNow } from "../moment.ts"
import { Ago, NotRecorded, Text } from "../text.tsx"
import { failureText } from "../failure.ts"

/** Between two looks, in ms. */
const LOOK_MS = 1_500

/** The last that an agent's terminal shows, as long as somebody looks: its supervisor tells it, and nobody keeps it. */
export function TerminalTail({ agent, isManaged }: { agent: string; isManaged: boolean }): JSX.Element {
  const [screen, setScreen] = useState<Output<"terminal.show">["screen"]>(null)
  const [failure, setFailure] = useState<string | null>(null)
  const isLooking = isNow.value && isManaged
  useEffect(() => {
    if (!isLooking) return undefined
    const look = (): void => {
      if (document.visibilityState !== "visible") return
      ask("terminal.show", { agent }).then(
        (answer) => {
          setScreen(answer.screen)
          setFailure(null)
        },
        (error: unknown) => setFailure(failureText(error)),
      )
    }
    look()
    const timer = setInterval(look, LOOK_MS)
    return () => clearInterval(timer)
  }, [agent, isLooking])
  if (!isNow.value) return <NotRecorded />
  if (!isManaged) return <p class="quiet">No supervisor runs it now: what it shows is seen where it runs.</p>
  if (failure !== null)
    return (
      <p class="refusal">
        <Text of={failure} />
      </p>
    )
  if (screen === null) return <p class="quiet">Its supervisor is asked …</p>
  return (
    <>
      <pre class="terminal" tabIndex={0} aria-label={`what the terminal of ${agent} shows`}>
        <Text of={screen.text} max={20_000} lines />
      </pre>
      <p class="quiet">
        seen <Ago atMs={screen.atMs} />
      </p>
    </>
  )
}
