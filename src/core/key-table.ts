import { fnv1a } from "./fnv.ts"
import type { AgentId, Seq } from "./ids.ts"
import type { Ink } from "./ink.ts"
import { type Journal, Table } from "./table.ts"

/** What became of a command: the entries that it made, from which its answer is built again. */
export type Remembered = { hash: string; first: Seq; last: Seq; atMs: number }

/** A remembered key as the state digest counts it. */
function writeRemembered({ hash, first, last, atMs }: Remembered, ink: Ink): void {
  ink.word(hash)
  ink.word(first)
  ink.word(last)
  ink.value(atMs)
}

/** Keys of a page. */
const PAGE = 1_024
/** Places are counted round in so many, twice what is ever in use at once. */
const PLACES = 0x20_0000
/** A slot that is taken has 10 bits of its key's tag, this bit, and the key's place: most keys that are looked for in vain are told by the slots alone. */
const TAKEN = PLACES
const TAG_BITS = -2 * PLACES
const FIRST_SLOTS = 1_024
const EMPTY = 0
/** What a slot has whose key was forgotten. */
const LEFT = 1
const GONE = -1
/** So many slots are looked at, at the most. */
const PROBES = 32
/** So many keys are taken over into new slots with each that comes: they are done long before there are too few slots again, and nobody waits for all of them. */
const TAKEN_OVER = 8

const BLANK: readonly string[] = Array.from({ length: PAGE }, () => "")

/** `PAGE` keys in columns: no object a key for collections to look at. */
class Page {
  readonly agents: AgentId[] = BLANK.slice()
  readonly ids: string[] = BLANK.slice()
  readonly hashes: string[] = BLANK.slice()
  readonly firsts = new Float64Array(PAGE)
  readonly lasts = new Float64Array(PAGE)
  readonly atMs = new Float64Array(PAGE)
  /** Of each key a number that says which slots it may be found in. */
  readonly tags = new Int32Array(PAGE)
}

/** Where keys stand: in the first slot from a key's tag on that was free. Less than half of them are ever taken. */
class Slots {
  readonly held: Int32Array
  taken = 0
  /** Places of keys that found no slot: callers choose their keys, and may choose many that fall together. */
  readonly crowded = new Map<string, number>()

  constructor(keys: number) {
    let room = FIRST_SLOTS
    while (room < keys * 4) room *= 2
    this.held = new Int32Array(room)
  }

  get isFull(): boolean {
    return this.taken * 2 > this.held.length
  }

  /** False where there is no room for it. */
  fill(place: number, tag: number): boolean {
    this.taken += 1
    const slot = this.#slotWith(EMPTY, tag)
    if (slot !== GONE) this.held[slot] = taken(place, tag)
    return slot !== GONE
  }

  /** False where it does not stand here. */
  leave(place: number, tag: number): boolean {
    const slot = this.#slotWith(taken(place, tag), tag)
    if (slot !== GONE) this.held[slot] = LEFT
    return slot !== GONE
  }

  #slotWith(held: number, tag: number): number {
    const mask = this.held.length - 1
    for (let slot = tag; slot < tag + PROBES; slot += 1) if (this.held[slot & mask] === held) return slot & mask
    return GONE
  }
}

/**
 * The keys that are remembered, the oldest first: a queue that an undo can run backwards. There may be a million, and each command looks for one that
 * is not there: so they stand in columns, found by numbers of which one look tells that a key is new. However many there are, no command waits for all of them:
 * columns come and go by the page, and where slots become too few the keys move to more of them little by little.
 */
export class KeyTable extends Table<Remembered> {
  readonly #journal: Journal
  #pages: Page[] = []
  /** Place of the first page's first key: `PAGE` times a whole number. */
  #base = 0
  /** Place of the oldest key, and the place after the newest. */
  #start = 0
  #end = 0
  #slots = new Slots(0)
  /** The slots before these, where keys stand that were not taken over yet: from `#moving` on to `#moved`. */
  #older: Slots | null = null
  #moving = 0
  #moved = 0
  /** The key that was named last: it is looked up, then recorded. */
  #text = " "
  #agent: AgentId = ""
  #id = ""
  #tag = fnv1a(" ")

  constructor(journal: Journal) {
    super("keys", journal, null, writeRemembered)
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
    return this.#start === this.#end ? undefined : this.#keyAt(this.#start)
  }

  /** When the oldest was first used; undefined where there is none. */
  get oldestAtMs(): number | undefined {
    return this.#start === this.#end ? undefined : this.#pageOf(this.#start).atMs[this.#start % PAGE]
  }

  override get size(): number {
    return between(this.#start, this.#end)
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

  /** Under the key that was named last, which stands at that place, or at none. */
  #set(key: string, place: number, record: Remembered): void {
    if (place !== GONE && this.#firstAt(place) === record.first) {
      this.#write(place, record)
      return
    }
    if (place !== GONE) this.#drop(place)
    this.#name(key)
    const [start, end] = [this.#start, this.#end]
    if (start === end || record.first > this.#firstAt(previous(end))) {
      this.#enter(end)
      this.#grow()
      this.#write(end, record)
    } else if (record.first < this.#firstAt(start)) {
      // An undo gives back what was forgotten: it goes to the front again.
      this.#enter(previous(start))
      if (start === this.#base) {
        this.#pages.unshift(new Page())
        this.#base = between(PAGE, start)
      }
      this.#start = previous(start)
      this.#write(this.#start, record)
    } else this.#insert(record)
  }

  #write(place: number, { hash, first, last, atMs }: Remembered): void {
    const page = this.#pageOf(place)
    const row = place % PAGE
    page.agents[row] = this.#agent
    page.ids[row] = this.#id
    page.tags[row] = this.#tag
    page.hashes[row] = hash
    page.firsts[row] = first
    page.lasts[row] = last
    page.atMs[row] = atMs
  }

  /** One place more at the end. */
  #grow(): void {
    if (between(this.#base, this.#end) === this.#pages.length * PAGE) this.#pages.push(new Page())
    this.#end = next(this.#end)
  }

  /** Forgets the key that was named last, which stands at that place. */
  #drop(place: number): void {
    if (place !== this.#start && next(place) !== this.#end) {
      this.#remove(place)
      return
    }
    if (!this.#slots.leave(place, this.#tag)) this.#slots.crowded.delete(this.#text)
    if (this.#older?.leave(place, this.#tag) === false) this.#older.crowded.delete(this.#text)
    this.#clear(place)
    if (place === this.#start) {
      this.#start = next(place)
      if (this.#moving === place) this.#moving = this.#start
      if (between(this.#base, this.#start) === PAGE) {
        this.#pages.shift()
        this.#base = this.#start
      }
    } else {
      this.#end = place
      if (this.#moved === next(place)) this.#moved = place
    }
    if (this.#moving === this.#moved) this.#older = null
  }

  #clear(place: number): void {
    const page = this.#pageOf(place)
    page.agents[place % PAGE] = page.ids[place % PAGE] = page.hashes[place % PAGE] = ""
  }

  /** Puts it between those before and after it: an undo may bring back what was taken from there. */
  #insert(record: Remembered): void {
    this.#grow()
    let place = previous(this.#end)
    for (; this.#firstAt(previous(place)) > record.first; place = previous(place)) this.#copy(previous(place), place)
    this.#write(place, record)
    this.#index()
  }

  /** Takes it from between others: the same key came again as another command. */
  #remove(place: number): void {
    const last = previous(this.#end)
    for (let at = place; at !== last; at = next(at)) this.#copy(next(at), at)
    this.#clear(last)
    this.#end = last
    this.#index()
  }

  #copy(from: number, to: number): void {
    const [source, target] = [this.#pageOf(from), this.#pageOf(to)]
    target.agents[to % PAGE] = source.agents[from % PAGE] as AgentId
    target.ids[to % PAGE] = source.ids[from % PAGE] as string
    target.tags[to % PAGE] = source.tags[from % PAGE] as number
    target.hashes[to % PAGE] = source.hashes[from % PAGE] as string
    target.firsts[to % PAGE] = source.firsts[from % PAGE] as Seq
    target.lasts[to % PAGE] = source.lasts[from % PAGE] as Seq
    target.atMs[to % PAGE] = source.atMs[from % PAGE] as number
  }

  #pageOf(place: number): Page {
    return this.#pages[Math.floor(between(this.#base, place) / PAGE)] as Page
  }

  #firstAt(place: number): Seq {
    return this.#pageOf(place).firsts[place % PAGE] as Seq
  }

  #keyAt(place: number): string {
    const { agents, ids } = this.#pageOf(place)
    return `${agents[place % PAGE]} ${ids[place % PAGE]}`
  }

  #recordAt(place: number): Remembered {
    const { hashes, firsts, lasts, atMs } = this.#pageOf(place)
    const row = place % PAGE
    return { hash: hashes[row] as string, first: firsts[row] as Seq, last: lasts[row] as Seq, atMs: atMs[row] as number }
  }

  /** From the oldest on; whoever walks may forget what it has been given. */
  *#places(): Iterable<number> {
    for (let at = this.#start; between(this.#start, at) < this.size; at = next(at)) yield at
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
    const place = this.#findIn(this.#slots)
    return place === GONE && this.#older !== null ? this.#findIn(this.#older) : place
  }

  #findIn({ held: slots, crowded }: Slots): number {
    const mask = slots.length - 1
    const likely = taken(0, this.#tag)
    for (let slot = this.#tag; slot < this.#tag + PROBES; slot += 1) {
      const held = slots[slot & mask] as number
      if (held === EMPTY) return GONE
      const place = held & (PLACES - 1)
      if (held - place === likely && this.#isAt(place)) return place
    }
    return crowded.size === 0 ? GONE : (crowded.get(this.#text) ?? GONE)
  }

  #isAt(place: number): boolean {
    const { tags, ids, agents } = this.#pageOf(place)
    const row = place % PAGE
    return tags[row] === this.#tag && ids[row] === this.#id && agents[row] === this.#agent
  }

  /** The key that was named last will stand at that place, which is none yet. */
  #enter(place: number): void {
    if (this.#slots.isFull) {
      this.#takeOver(this.size)
      this.#older = this.#slots
      this.#slots = new Slots(this.size)
      this.#moving = this.#start
      this.#moved = this.#end
    }
    this.#takeOver(TAKEN_OVER)
    if (!this.#slots.fill(place, this.#tag)) this.#slots.crowded.set(this.#text, place)
  }

  /** So many keys more have their slots among the new ones. */
  #takeOver(count: number): void {
    if (this.#older === null) return
    for (let left = count; left > 0 && this.#moving !== this.#moved; left -= 1) {
      this.#refill(this.#moving)
      this.#moving = next(this.#moving)
    }
    if (this.#moving === this.#moved) this.#older = null
  }

  #refill(place: number): void {
    const tag = this.#pageOf(place).tags[place % PAGE] as number
    if (!this.#slots.fill(place, tag)) this.#slots.crowded.set(this.#keyAt(place), place)
  }

  /** All slots anew: places have moved. */
  #index(): void {
    this.#slots = new Slots(this.size)
    this.#older = null
    for (const place of this.#places()) this.#refill(place)
  }
}

function taken(place: number, tag: number): number {
  return (tag & TAG_BITS) | TAKEN | place
}

function next(place: number): number {
  return (place + 1) & (PLACES - 1)
}

function previous(place: number): number {
  return (place - 1) & (PLACES - 1)
}

/** How many places lie from the one to the other, counted round. */
function between(from: number, to: number): number {
  return (to - from) & (PLACES - 1)
}
