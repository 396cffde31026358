import type { ComponentChildren, JSX } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { type Asking, asking, dismiss, notices } from "./act.ts"
import { Refusal } from "./refusal.tsx"
import { Text } from "./text.tsx"

/** A modal dialog: keeps the focus, ends with Escape, gives the focus back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null)
  // At once: what is typed on after the key that opens it is meant for it.
  useLayoutEffect(() => {
    const { current } = element
    current?.showModal()
    return () => current?.close()
  }, [])
  // The way back leads out of the dialog, not to another view under it, from the moment it is there. Where the browser goes back all the same, nothing stays over
  // what was not asked about.
  useLayoutEffect(() => {
    const stay = (event: NavigateEvent): void => {
      if (event.navigationType !== "traverse" || !event.cancelable) return
      event.preventDefault()
      onClose()
    }
    window.navigation?.addEventListener("navigate", stay)
    addEventListener("hashchange", onClose)
    return () => {
      window.navigation?.removeEventListener("navigate", stay)
      removeEventListener("hashchange", onClose)
    }
  }, [onClose])
  return (
    <dialog
      ref={element}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      // The browser closes it all the same where Escape is pressed again and again: what is not answered yet stays to be seen.
      onClose={({ currentTarget }) => {
        if (!currentTarget.isConnected) return
        onClose()
        requestAnimationFrame(() => currentTarget.isConnected && !currentTarget.open && currentTarget.showModal())
      }}
    >
      {children}
    </dialog>
  )
}

/** What `act` asks before something is done. */
export function ActDialog(): JSX.Element | null {
  const open = asking.value
  return open === null ? null : <Question open={open} />
}

function Question({ open }: { open: Asking }): JSX.Element {
  const [reason, setReason] = useState("")
  const { title, text, verb, isGrave = false, refusal, isAtWork } = open
  const lacksReason = open.reason === "required" && reason.trim() === ""
  const submit = (event: Event): void => {
    event.preventDefault()
    if (!isAtWork && !lacksReason) open.answer({ reason: reason.trim() })
  }
  return (
    <Dialog title={title} onClose={() => (isAtWork ? undefined : open.answer(null))}>
      <form onSubmit={submit}>
        <h2>
          <Text of={title} />
        </h2>
        <p>
          <Text of={text} max={2_000} lines />
        </p>
        {open.reason === undefined ? null : (
          <label class="field">
            Reason{open.reason === "optional" ? " (if there is one)" : ""}
            <textarea rows={2} value={reason} required={open.reason === "required"} onInput={({ currentTarget }) => setReason(currentTarget.value)} autofocus />
          </label>
        )}
        <Refusal of={refusal} />
        <div class="buttons">
          <button type="button" onClick={() => open.answer(null)} disabled={isAtWork}>
            Leave it
          </button>
          <button type="submit" class={isGrave ? "grave" : "main"} disabled={isAtWork || lacksReason}>
            {isAtWork ? "…" : verb}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

/** What was done or refused, said politely. */
export function Notices(): JSX.Element {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, kind, text, remedy }) => (
        <div key={id} class={`notice notice-${kind}`}>
          <div>
            <Text of={text} max={400} />
            {remedy === "" ? null : (
              <div class="quiet">
                <Text of={remedy} max={600} />
              </div>
            )}
          </div>
          <button type="button" aria-label="dismiss" onClick={() => dismiss(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  )
}
