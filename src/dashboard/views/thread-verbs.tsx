import type { JSX } from "preact"
import type { Thread } from "../../core/thread.ts"
import { act } from "../act.ts"
import { welcome } from "../live.ts"

/** Who reads: the unread marks are the caller's own. */
export function reader(): { agent: string; role: "operator" } {
  return { agent: welcome.value?.agent ?? "operator", role: "operator" }
}

/** Joins, leaves, and changes of a thread's status, each with its reason. */
export function ThreadVerbs({ thread: { id, status }, isIn }: { thread: Thread; isIn: boolean }): JSX.Element {
  const change = (to: "active" | "blocked" | "resolved" | "closed", verb: string, text: string) => (): void =>
    void act("thread.setStatus", { thread: id, status: to }, { title: `${verb} ${id}`, text, verb, reason: "required" })
  const one =
    (name: "thread.escalate" | "thread.unblock" | "thread.overrideClose", verb: string, text: string, isGrave = false) =>
    (): void =>
      void act(name, { thread: id }, { title: `${verb} ${id}`, text, verb, reason: "required", isGrave })
  return (
    <div class="tools" role="group" aria-label="what can be done with this thread">
      {isIn ? (
        <button type="button" onClick={() => void act("thread.leave", { thread: id })}>
          Leave
        </button>
      ) : (
        <button type="button" onClick={() => void act("thread.join", { thread: id })}>
          Join
        </button>
      )}
      {status === "active" ? <button onClick={change("resolved", "Resolve", "What it was about is settled.")}>Resolve</button> : null}
      {status === "active" ? (
        <button onClick={one("thread.escalate", "Escalate", "It is blocked as disputed, and those who direct are told.")}>Escalate</button>
      ) : null}
      {status === "resolved" || status === "closed" ? <button onClick={change("active", "Reopen", "It goes on.")}>Reopen</button> : null}
      {status === "blocked" ? <button onClick={one("thread.unblock", "Unblock", "It goes on, and its turns are counted anew.")}>Unblock</button> : null}
      {status === "active" || status === "resolved" ? <button onClick={change("closed", "Close", "Nobody can post in it any more.")}>Close</button> : null}
      {status === "blocked" ? (
        <button onClick={one("thread.overrideClose", "Close", "It is closed over any dispute, and wakes that wait for it are retracted.", true)}>
          Close over the dispute
        </button>
      ) : null}
    </div>
  )
}
