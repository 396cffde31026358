import { fnv1a } from "./fnv.ts"
import type { AgentId, Seq } from "./ids.ts"
import { type Journal, Table } from "./table.ts"

/** What became of a command: the entries that it made, from which its answer is built again. */
export type Remembered = { hash: string; first: Seq; last: Seq; atMs: number }

/** A remembered key as the state digest counts it. */
function rememberedText({ hash, first, last, atMs }: Remembered): string {
  return `${hash} ${first} ${last} ${atMs}`
}

/** Free places before the oldest, which an undo may need. */
const ROOM = 1_024
const FIRST_SLOTS = 1_024
const EMPTY = 0
const GONE = -1
/** So many slots are looked at, at the most. */
const PROBES = 32

/**
 * The keys that are remembered, the oldest first: a queue that an undo can run backwards. There may be a million, and each command looks for one that
 * is not there: so they stand in columns, found by numbers of which one look tells that a key is new, and no collection has an object a key to look at.
 */
export class KeyTable extends Table<Remembered> {
  readonly #journal: Journal
  #agents: AgentId[] = []
  #ids: string[] = []
  #hashes: string[] = []
  #firsts: Seq[] = []
  #lasts: Seq[] = []
  #atMs: number[] = []
  /** Of each key a number that says which slots it may be found in. */
  #tags: number[] = []
  /** What comes before it is forgotten already. */
  #start = 0
  /** How many places were let go of at the front, in all. */
  #passed = 0
  /** In the first slot from a key's tag on that was free: its place, from 1 on. Less than half of them are ever taken. */
  #slots = new Int32Array(FIRST_SLOTS)
  #taken = 0
  /** Places of keys that found no slot: callers choose their keys, and may choose many that fall together. */
  readonly #crowded = new Map<string, number>()
  /** The key that was named last: it is looked up, then recorded. */
  #text = " "
  #agent: AgentId = ""
  #id = ""
  #tag = fnv1a(" ")

  constructor(journal: Journal) {
    super("keys", journal, null, rememberedText)
    this.#journal = journal
  }

  /** The key under which an agent's command is remembered. */
  keyOf(agent: AgentId, commandId: string): string {
    if (commandId === this.#id && agent === this.#agent) return this.#text
    this.#agent = agent
    this.#id = commandId
    this.#tag = fnv1a(commandId, fnv1a(" ", fnv1a(agent)))
    return (this.#text = `${agent} ${commandId}`)
  }

  get oldest(): string | undefined {
    return this.#start < this.#ids.length ? this.#keyAt(this.#start) : undefined
  }

  /** When the oldest was first used; undefined where there is none. */
  get oldestAtMs(): number | undefined {
    return this.#atMs[this.#start]
  }

  override get size(): number {
    return this.#ids.length - this.#start
  }

  override get(key: string): Remembered | undefined {
    const place = this.#find(key)
    return place === GONE ? undefined : this.#recordAt(place)
  }

  override has(key: string): boolean {
    return this.#find(key) !== GONE
  }

  override *entries(): IterableIterator<[string, Remembered]> {
    for (const place of this.#places()) yield [this.#keyAt(place), this.#recordAt(place)]
  }

  override *keys(): IterableIterator<string> {
    for (const place of this.#places()) yield this.#keyAt(place)
  }

  override *values(): IterableIterator<Remembered> {
    for (const place of this.#places()) yield this.#recordAt(place)
  }

  override put(key: string, after: Remembered): void {
    this.replace(key, this.get(key), after)
  }

  override replace(key: string, before: Remembered | undefined, after: Remembered): void {
    this.#journal.note({ table: this as Table<unknown>, key, before, after })
    this.#set(key, before === undefined ? GONE : this.#find(key), after)
  }

  override delete(key: string): void {
    const place = this.#find(key)
    if (place === GONE) return
    this.#journal.note({ table: this as Table<unknown>, key, before: this.#recordAt(place), after: undefined })
    this.#drop(place)
  }

  override restore(key: string, before: Remembered | undefined): void {
    const place = this.#find(key)
    if (before !== undefined) this.#set(key, place, before)
    else if (place !== GONE) this.#drop(place)
  }

  #set(key: string, place: number, record: Remembered): void {
    if (place !== GONE && this.#firsts[place] === record.first) {
      this.#hashes[place] = record.hash
      this.#lasts[place] = record.last
      this.#atMs[place] = record.atMs
      return
    }
    if (place !== GONE) this.#drop(place)
    this.#name(key)
    const end = this.#ids.length
    if (end === this.#start || record.first > (this.#firsts[end - 1] as Seq)) {
      this.#write(end, record)
      this.#enter(end)
    } else if (record.first < (this.#firsts[this.#start] as Seq)) {
      // An undo gives back what was forgotten: it goes to the front again.
      if (this.#start === 0) this.#makeRoom()
      this.#start -= 1
      this.#write(this.#start, record)
      this.#enter(this.#start)
    } else {
      const between = this.#firsts.findIndex((first, at) => at >= this.#start && first > record.first)
      for (const column of this.#columns()) column.splice(between, 0, column[between] as never)
      this.#write(between, record)
      this.#index()
    }
  }

  #write(place: number, { hash, first, last, atMs }: Remembered): void {
    this.#agents[place] = this.#agent
    this.#ids[place] = this.#id
    this.#tags[place] = this.#tag
    this.#hashes[place] = hash
    this.#firsts[place] = first
    this.#lasts[place] = last
    this.#atMs[place] = atMs
  }

  #drop(place: number): void {
    if (place > this.#start && place < this.#ids.length - 1) {
      for (const column of this.#columns()) column.splice(place, 1)
      this.#index()
      return
    }
    this.#leave(place)
    if (place > this.#start) for (const column of this.#columns()) column.pop()
    else {
      this.#ids[place] = this.#hashes[place] = ""
      this.#start += 1
      if (this.#start >= 2 * ROOM && this.#start * 2 >= this.#ids.length) this.#letGo()
    }
  }

  #keyAt(place: number): string {
    return `${this.#agents[place]} ${this.#ids[place]}`
  }

  #recordAt(place: number): Remembered {
    return {
      hash: this.#hashes[place] as string,
      first: this.#firsts[place] as Seq,
      last: this.#lasts[place] as Seq,
      atMs: this.#atMs[place] as number,
    }
  }

  /** From the oldest on; whoever walks may forget what it has been given. */
  *#places(): Iterable<number> {
    for (let at = this.#passed + this.#start; at - this.#passed < this.#ids.length; at += 1) yield at - this.#passed
  }

  #columns(): unknown[][] {
    return [this.#agents, this.#ids, this.#hashes, this.#firsts, this.#lasts, this.#atMs, this.#tags]
  }

  // Where a key stands

  /** Names a key by its text. Agents' names have no blanks. */
  #name(key: string): void {
    if (key === this.#text) return
    const blank = key.indexOf(" ")
    if (blank < 0) throw new SyntaxError("a key of a command names no agent")
    this.keyOf(key.slice(0, blank), key.slice(blank + 1))
  }

  #find(key: string): number {
    this.#name(key)
    const slots = this.#slots
    const mask = slots.length - 1
    for (let slot = this.#tag; slot < this.#tag + PROBES; slot += 1) {
      const held = slots[slot & mask] as number
      if (held === EMPTY) return GONE
      const place = held - 1
      if (held !== GONE && this.#tags[place] === this.#tag && this.#ids[place] === this.#id && this.#agents[place] === this.#agent) return place
    }
    return this.#crowded.size === 0 ? GONE : (this.#crowded.get(key) ?? GONE)
  }

  #enter(place: number): void {
    this.#taken += 1
    if (this.#taken * 2 > this.#slots.length) this.#index()
    else this.#fill(place)
  }

  #fill(place: number): void {
    const slot = this.#slotWith(EMPTY, place)
    if (slot === GONE) this.#crowded.set(this.#keyAt(place), place)
    else this.#slots[slot] = place + 1
  }

  #leave(place: number): void {
    const slot = this.#slotWith(place + 1, place)
    if (slot === GONE) this.#crowded.delete(this.#keyAt(place))
    else this.#slots[slot] = GONE
  }

  #slotWith(held: number, place: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    const tag = this.#tags[place] as number
    for (let slot = tag; slot < tag + PROBES; slot += 1) if (slots[slot & mask] === held) return slot & mask
    return GONE
  }

  /** All slots anew: there are too few, or places have moved. */
  #index(): void {
    let room = FIRST_SLOTS
    while (room < this.size * 4) room *= 2
    this.#slots = new Int32Array(room)
    this.#taken = this.size
    this.#crowded.clear()
    for (let place = this.#start; place < this.#ids.length; place += 1) this.#fill(place)
  }

  /** Lets go of what is forgotten, but for some room. */
  #letGo(): void {
    const from = this.#start - ROOM
    this.#passed += from
    this.#move((column) => column.slice(from))
  }

  #makeRoom(): void {
    const none = Array.from({ length: ROOM }, () => 0)
    this.#passed -= ROOM
    this.#move((column, nothing) => [...none.map(() => nothing), ...column])
  }

  #move(moved: <Item>(column: Item[], nothing: Item) => Item[]): void {
    this.#agents = moved(this.#agents, "")
    this.#ids = moved(this.#ids, "")
    this.#hashes = moved(this.#hashes, "")
    this.#firsts = moved(this.#firsts, 0)
    this.#lasts = moved(this.#lasts, 0)
    this.#atMs = moved(this.#atMs, 0)
    this.#tags = moved(this.#tags, 0)
    this.#start = ROOM
    this.#index()
  }
}
