import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Keyed } from "../core/idempotency.ts"
import type { Seq } from "../core/ids.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"

/**
 * A page of entries that chain, as one thread hands it to the other: all bytes in one run, and of each entry where its parts lie. So what all entries
 * have, which is half of their text, is not parsed again for each: the thread that folds is the one that both wait for.
 */
export type ReadPage = {
  from: Seq
  bytes: Uint8Array<ArrayBuffer>
  isAscii: boolean
  /** `FIELDS` numbers an entry. */
  fields: Float64Array<ArrayBuffer>
  /** Texts of type, version and actor, each once: many entries of a page have the same. */
  heads: string[]
}

/** Where the text begins and ends; its head (-1: all of it must be parsed); time; cause (-1: none); where key and its hash begin (0: there is none) and end; where data begins. */
const START = 0
const END = 1
const HEAD = 2
const AT_MS = 3
const CAUSED_BY = 4
const KEY = 5
const KEY_HASH = 7
const DATA = 9
const FIELDS = 10

const NONE = -1
const WHOLE = -1

const SEQ_NAME = Buffer.from('{"seq":')
const AT_NAME = Buffer.from(',"atMs":')
const TYPE_NAME = Buffer.from(',"type":')
const KEY_NAME = Buffer.from(',"commandId":')
const KEY_HASH_NAME = Buffer.from(',"commandHash":')
const CAUSED_BY_NAME = Buffer.from(',"causedBy":')
const DATA_NAME = Buffer.from(',"data":')
const NULL = Buffer.from("null")
const [QUOTE, BACKSLASH, BRACE, ZERO, NINE, BLANK, ASCII_MAX] = [0x22, 0x5c, 0x7d, 0x30, 0x39, 0x20, 0x7f] as const

/** Finds the parts of entries as `encodeEntry` writes them. What is written otherwise, and may yet be an entry, is left to be parsed whole. */
export class HeadReader {
  readonly #bytes: Buffer
  readonly #from: Seq
  readonly #codes = new Map<string, number>()
  readonly fields: Float64Array<ArrayBuffer>
  readonly heads: string[] = []
  #at = 0
  #end = 0

  constructor(bytes: Uint8Array<ArrayBuffer>, from: Seq, count: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#from = from
    this.fields = new Float64Array(count * FIELDS)
  }

  /** Reads the entry at that place of the page, whose text lies there. Answers whether it may be a checkpoint. */
  read(place: number, start: number, end: number): boolean {
    const { fields } = this
    const base = place * FIELDS
    fields[base + START] = start
    fields[base + END] = end
    fields[base + HEAD] = WHOLE
    this.#at = start
    this.#end = end
    const head = this.#parts(base, this.#from + place)
    fields[base + HEAD] = head
    return head === WHOLE
      ? this.#bytes.toString("latin1", start, end).includes("checkpoint.recorded")
      : (this.heads[head] as string).includes("checkpoint.recorded")
  }

  #parts(base: number, seq: Seq): number {
    const { fields } = this
    if (!this.#skips(SEQ_NAME) || this.#number() !== seq || !this.#skips(AT_NAME)) return WHOLE
    const atMs = this.#number()
    const head = this.#at
    if (atMs < 0 || !this.#skips(TYPE_NAME) || !this.#toBrace() || !this.#skips(KEY_NAME)) return WHOLE
    const headEnd = this.#at - KEY_NAME.length
    fields[base + AT_MS] = atMs
    if (!this.#text(base + KEY) || !this.#skips(KEY_HASH_NAME) || !this.#text(base + KEY_HASH) || !this.#skips(CAUSED_BY_NAME)) return WHOLE
    const isCaused = !this.#skips(NULL)
    const causedBy = isCaused ? this.#number() : NONE
    if ((isCaused && causedBy === NONE) || !this.#skips(DATA_NAME) || this.#bytes[this.#end - 1] !== BRACE) return WHOLE
    fields[base + CAUSED_BY] = causedBy
    fields[base + DATA] = this.#at
    return this.#codeOf(this.#bytes.toString("latin1", head + 1, headEnd))
  }

  #codeOf(head: string): number {
    let code = this.#codes.get(head)
    if (code === undefined) {
      code = this.heads.push(head) - 1
      this.#codes.set(head, code)
    }
    return code
  }

  #skips(name: Buffer): boolean {
    const at = this.#at
    if (at + name.length > this.#end) return false
    for (let i = 0; i < name.length; i += 1) if (this.#bytes[at + i] !== name[i]) return false
    this.#at = at + name.length
    return true
  }

  /** A whole number, or -1 where there is none, or one that may be written otherwise. */
  #number(): number {
    const bytes = this.#bytes
    const start = this.#at
    let at = start
    let value = 0
    for (let byte = bytes[at] as number; at < this.#end && byte >= ZERO && byte <= NINE; byte = bytes[at] as number) {
      value = value * 10 + byte - ZERO
      at += 1
    }
    this.#at = at
    if (at === start || value > Number.MAX_SAFE_INTEGER || (bytes[start] === ZERO && at > start + 1)) return NONE
    return value
  }

  /** To the end of the actor: the first brace that closes. */
  #toBrace(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    while (at < this.#end && bytes[at] !== BRACE && (bytes[at] as number) <= ASCII_MAX) at += 1
    this.#at = at + 1
    return bytes[at] === BRACE
  }

  /** A text without anything that is written otherwise in JSON, or null. */
  #text(field: number): boolean {
    if (this.#skips(NULL)) {
      this.fields[field] = 0
      return true
    }
    const bytes = this.#bytes
    let at = this.#at + 1
    if (bytes[at - 1] !== QUOTE) return false
    this.fields[field] = at
    for (let byte = bytes[at] as number; byte !== QUOTE; byte = bytes[at] as number) {
      if (at >= this.#end || byte === BACKSLASH || byte < BLANK || byte > ASCII_MAX) return false
      at += 1
    }
    this.fields[field + 1] = at
    this.#at = at + 1
    return true
  }
}

type Head = Pick<Entry, "type" | "v" | "actor">

/** The entries of a page whose parts were found, made one by one: each is the same as `decodeEntry` makes of its text. */
export class EntryPage {
  readonly length: number
  readonly #from: Seq
  readonly #bytes: Buffer
  readonly #isAscii: boolean
  readonly #fields: Float64Array
  readonly #heads: (Head | null)[]

  constructor({ from, bytes, isAscii, fields, heads }: ReadPage) {
    this.length = fields.length / FIELDS
    this.#from = from
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#isAscii = isAscii
    this.#fields = fields
    this.#heads = heads.map(headOf)
  }

  /** Without its key, where nobody looks for one. Throws `SyntaxError` on bytes that are no entry, or whose data has something of the entry after it. */
  at(place: number, withKey = true): Entry {
    const base = place * FIELDS
    const head = this.#headAt(base)
    if (head === null) return withKey ? this.#wholeAt(base) : { ...this.#wholeAt(base), commandId: null, commandHash: null }
    const fields = this.#fields
    const causedBy = fields[base + CAUSED_BY] as number
    const entry: Entry = {
      seq: this.#from + place,
      atMs: fields[base + AT_MS] as number,
      type: head.type,
      v: head.v,
      actor: head.actor,
      commandId: withKey ? this.#plain(base + KEY) : null,
      commandHash: withKey ? this.#plain(base + KEY_HASH) : null,
      causedBy: causedBy === NONE ? null : causedBy,
      data: JSON.parse(this.#textOf(fields[base + DATA] as number, (fields[base + END] as number) - 1)),
    }
    return upcast(entry, UPCASTS)
  }

  /** What `remember` asks of the entry, its data left as it lies. */
  keyAt(place: number): Keyed {
    const base = place * FIELDS
    const head = this.#headAt(base)
    if (head === null) return this.#wholeAt(base)
    const atMs = this.#fields[base + AT_MS] as number
    return { seq: this.#from + place, atMs, actor: head.actor, commandId: this.#plain(base + KEY), commandHash: this.#plain(base + KEY_HASH) }
  }

  #headAt(base: number): Head | null {
    return this.#heads[this.#fields[base + HEAD] as number] ?? null
  }

  #wholeAt(base: number): Entry {
    return decodeEntry(this.#textOf(this.#fields[base + START] as number, this.#fields[base + END] as number))
  }

  #textOf(start: number, end: number): string {
    return this.#isAscii ? this.#bytes.toString("latin1", start, end) : this.#bytes.toString("utf8", start, end)
  }

  #plain(field: number): string | null {
    const start = this.#fields[field] as number
    return start === 0 ? null : this.#bytes.toString("latin1", start, this.#fields[field + 1])
  }
}

/** Null where it is not what it is taken for: then whole entries are parsed. */
function headOf(text: string): Head | null {
  try {
    const { type, v, actor, ...rest } = JSON.parse(`{${text}}`) as Head
    if (typeof type !== "string" || v === undefined || actor === undefined || Object.keys(rest).length > 0) return null
    // The name of a field is the engine's one copy of that text: comparing it with the types that the fold knows is then a look at two addresses.
    const [known = type] = Object.keys({ [type]: true })
    return { type: known, v, actor }
  } catch {
    return null
  }
}
