import type { ComponentChildren, JSX } from "preact"

/** A part of a task's panel, with its heading. */
export function Part({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <section>
      <h3>{title}</h3>
      {children}
    </section>
  )
}
