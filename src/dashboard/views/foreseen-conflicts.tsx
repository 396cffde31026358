import type { JSX } from "preact"

/** What only git can tell: the hub does not look into the repository, so that it says where to ask. */
export function ForeseenConflicts(): JSX.Element {
  return (
    <section aria-labelledby="foreseen">
      <h2 id="foreseen">Conflicts between branches</h2>
      <p>
        <span class="quiet">Not known to the hub:</span> it keeps the ledger, and does not look into the repository. <code>skein files conflicts</code> merges
        every worktree with every other in memory, with what is not committed yet, and names the files that would conflict.
      </p>
    </section>
  )
}
