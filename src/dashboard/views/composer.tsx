import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { SkeinError } from "../../contract/errors.ts"
import type { ThreadId } from "../../core/ids.ts"
import { carryOut } from "../act.ts"
import { Refusal } from "../refusal.tsx"
import { Resend } from "../resend.ts"
import { Text } from "../text.tsx"

/** What a message can be besides a remark. */
const TYPES = ["finding", "decision", "resolution"] as const

/** What is written survives a change of view, and a hub that is away. */
const drafts = new Map<ThreadId, string>()

/** Writes into a thread. A message that got no answer is sent again with its key, and so never twice. */
export function Composer({
  thread,
  reply,
  onReply,
}: {
  thread: ThreadId
  reply: { message: number; sender: string } | null
  onReply: (message: null) => void
}): JSX.Element {
  const [body, setBody] = useState(drafts.get(thread) ?? "")
  const [type, setType] = useState("")
  const [isAtWork, setAtWork] = useState(false)
  const [refusal, setRefusal] = useState<{ message: string; remedy: string } | null>(null)
  const [resend] = useState(() => new Resend())
  const write = (text: string): void => {
    setBody(text)
    drafts.set(thread, text)
  }
  const send = async (): Promise<void> => {
    if (isAtWork || body.trim() === "") return
    setAtWork(true)
    setRefusal(null)
    try {
      const metadata = type === "" ? {} : { metadata: { eventType: type } }
      const answers = reply === null ? {} : { inReplyTo: reply.message }
      const input = { thread, body, ...metadata, ...answers }
      await carryOut("message.post", input, resend.keyOf(input))
      resend.cameTo(null)
      // What was written meanwhile is another message.
      if (drafts.get(thread) === body) write("")
      setType("")
      onReply(null)
    } catch (error) {
      resend.cameTo(error)
      setRefusal(error instanceof SkeinError ? error : { message: String(error), remedy: "Try again." })
    }
    setAtWork(false)
  }
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault()
        void send()
      }}
    >
      {reply === null ? null : (
        <p class="quiet">
          Answers message {reply.message} of <Text of={reply.sender} max={64} />{" "}
          <button type="button" class="more" onClick={() => onReply(null)}>
            not
          </button>
        </p>
      )}
      <label class="field">
        Say something
        <textarea
          rows={3}
          value={body}
          onInput={({ currentTarget }) => write(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault()
              void send()
            }
          }}
        />
      </label>
      <div class="tools">
        <label>
          as{" "}
          <select value={type} onChange={({ currentTarget }) => setType(currentTarget.value)}>
            <option value="">a remark</option>
            {TYPES.map((one) => (
              <option key={one} value={one}>
                a {one}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="main" disabled={isAtWork || body.trim() === ""} title="Ctrl+Enter">
          {isAtWork ? "…" : "Send"}
        </button>
      </div>
      <Refusal of={refusal} />
    </form>
  )
}
