import { type Write, writeJson } from "./ink.ts"

/** One change of one record, as the journal keeps it: enough to undo it, and to count the record without looking it up again. Undefined: it is not there. */
export type Change = { table: Table<unknown>; key: string; before: unknown; after: unknown }

/** All changes since the last `drain`, oldest first. */
export class Journal {
  #changes: Change[] = []

  note(change: Change): void {
    this.#changes.push(change)
  }

  /** The changes so far; the journal starts anew. After this they can no longer be undone. */
  drain(): Change[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** How far the journal is; `undoTo` takes it. */
  get length(): number {
    return this.#changes.length
  }

  /** Undoes, newest first, all that was changed since the journal had this length. */
  undoTo(length: number): void {
    while (this.#changes.length > length) {
      const { table, key, before } = this.#changes.pop() as Change
      table.restore(key, before)
    }
  }
}

/**
 * A table of the state. Records are never changed in place, and carry every field (null where there is nothing), so that their JSON is the same
 * however they came about. Each change goes through `put` or `delete`: the journal can undo it and `onChange` keeps the derived indexes true.
 */
export class Table<Rec> {
  readonly name: string
  readonly #rows = new Map<string, Rec>()
  readonly #journal: Journal
  readonly #onChange: ((key: string, before: Rec | undefined, after: Rec | undefined) => void) | null

  /**
   * Writes the record as the state digest counts it: the same bytes for the same record, whatever its history. A field that is added later MUST leave the
   * bytes of a record in which it is null as they were: ledgers of earlier versions recorded that digest, and a replay must still reach it.
   */
  readonly write: Write<Rec>

  constructor(
    name: string,
    journal: Journal,
    onChange: ((key: string, before: Rec | undefined, after: Rec | undefined) => void) | null = null,
    write: Write<Rec> = writeJson,
  ) {
    this.name = name
    this.#journal = journal
    this.#onChange = onChange
    this.write = write
  }

  get(key: string): Rec | undefined {
    return this.#rows.get(key)
  }

  has(key: string): boolean {
    return this.#rows.has(key)
  }

  get size(): number {
    return this.#rows.size
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys()
  }

  values(): IterableIterator<Rec> {
    return this.#rows.values()
  }

  entries(): IterableIterator<[string, Rec]> {
    return this.#rows.entries()
  }

  put(key: string, after: Rec): void {
    this.replace(key, this.#rows.get(key), after)
  }

  /** `put` for whoever has looked the record up already: `before` MUST be what `get` gave. */
  replace(key: string, before: Rec | undefined, after: Rec): void {
    this.#journal.note({ table: this as Table<unknown>, key, before, after })
    this.#rows.set(key, after)
    this.#onChange?.(key, before, after)
  }

  delete(key: string): void {
    const before = this.#rows.get(key)
    if (before === undefined) return
    this.#journal.note({ table: this as Table<unknown>, key, before, after: undefined })
    this.#rows.delete(key)
    this.#onChange?.(key, before, undefined)
  }

  /** Puts a record back as it was before a change (undefined: it was not there), or as a snapshot has it. Nothing undoes this. */
  restore(key: string, before: Rec | undefined): void {
    const now = this.#rows.get(key)
    if (before === undefined) this.#rows.delete(key)
    else this.#rows.set(key, before)
    this.#onChange?.(key, now, before)
  }
}
