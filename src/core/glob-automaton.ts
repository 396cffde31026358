/** Characters as ranges of code points: ascending, apart from each other, never with a slash in them. */
export type Ranges = readonly (readonly [low: number, high: number])[]

/** What one segment of a glob is made of. */
export type Atom =
  | { kind: "char"; at: number; char: string }
  | { kind: "class"; at: number; ranges: Ranges }
  | { kind: "star"; at: number }
  | { kind: "options"; at: number; options: Atom[][] }

/** A nondeterministic automaton over the characters of one segment: `edges[state]`, the first state is 0. */
export type Automaton = { readonly edges: readonly (readonly Edge[])[]; readonly end: number }
/** `on` null: a step that reads nothing. */
type Edge = { readonly on: Ranges | null; readonly to: number }

/** Steps that a comparison may still take; it counts down. What one call compares shares one, so that no globs keep the hub from everybody else. */
export type Effort = { left: number }
/** Steps for one call that compares globs: a thousand comparisons of the dearer that people write, 20 ms with the worst. The hub does nothing else meanwhile. */
export const EFFORT_MAX = 600_000
/** Steps for one call that asks about paths: a hundred thousand comparisons with globs as people write them, some 50 ms with the worst. */
export const CHECK_EFFORT_MAX = 5_000_000

/** What a pair of states costs that a comparison comes to. */
const PAIR_STEPS = 4

/** Thrown where `Effort` is at its end. */
export class TooLong extends Error {}
const tooLong = new TooLong("the globs take too long to compare")

export function spend(effort: Effort, steps: number): void {
  effort.left -= steps
  if (effort.left < 0) throw tooLong
}

const SLASH = 0x2f
const LAST = 0x10ffff
/** Any character that a name can hold. */
export const ANY_CHAR: Ranges = [
  [1, SLASH - 1],
  [SLASH + 1, LAST],
]

/** Ranges in order, those that touch made one, the slash cut out. */
export function ordered(ranges: readonly (readonly [number, number])[]): Ranges {
  const merged: [number, number][] = []
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high)
    else merged.push([low, high])
  }
  return both(merged, ANY_CHAR)
}

export function complement(ranges: Ranges): Ranges {
  const rest: [number, number][] = []
  let from = 0
  for (const [low, high] of ranges) {
    if (low > from) rest.push([from, low - 1])
    from = high + 1
  }
  if (from <= LAST) rest.push([from, LAST])
  return both(rest, ANY_CHAR)
}

function both(a: Ranges, b: Ranges): Ranges {
  const found: [number, number][] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [lowA, highA] = a[i] as [number, number]
    const [lowB, highB] = b[j] as [number, number]
    const low = Math.max(lowA, lowB)
    const high = Math.min(highA, highB)
    if (low <= high) found.push([low, high])
    if (highA < highB) i += 1
    else j += 1
  }
  return found
}

function has(ranges: Ranges, code: number): boolean {
  for (const [low, high] of ranges) if (code <= high) return code >= low
  return false
}

export function automaton(atoms: readonly Atom[]): Automaton {
  const edges: Edge[][] = [[]]
  const state = (): number => edges.push([]) - 1
  const link = (from: number, to: number, on: Ranges | null): void => {
    edges[from]?.push({ on, to })
  }
  const chain = (of: readonly Atom[], start: number): number => {
    let from = start
    for (const atom of of) {
      const to = state()
      if (atom.kind === "star") {
        link(from, from, ANY_CHAR)
        link(from, to, null)
      } else if (atom.kind === "options") {
        for (const option of atom.options) {
          const entry = state()
          link(from, entry, null)
          link(chain(option, entry), to, null)
        }
      } else {
        const code = atom.kind === "char" ? (atom.char.codePointAt(0) as number) : 0
        link(from, to, atom.kind === "char" ? [[code, code]] : atom.ranges)
      }
      from = to
    }
    return from
  }
  const end = chain(atoms, 0)
  return { edges, end }
}

/** What an automaton reads: atoms, or a star between two texts. Known again by being the same object. */
type Source = { readonly atoms: readonly Atom[] } | { readonly prefix: string; readonly suffix: string }

/** States of automata that are kept, which are some hundred bytes each; forgotten all at once when there are too many. */
const STATES_MAX = 100_000
let built = new WeakMap<Source, Automaton>()
let states = 0

/** The automaton of a segment: built when it is asked for, since few of all that agents name are ever compared. Throws `TooLong`. */
export function automatonOf(source: Source, effort: Effort): Automaton {
  let found = built.get(source)
  if (found !== undefined) return found
  found = automaton("atoms" in source ? source.atoms : [...charsOf(source.prefix), { kind: "star", at: 0 }, ...charsOf(source.suffix)])
  const size = found.edges.length
  spend(effort, size)
  states += size
  if (states > STATES_MAX) {
    built = new WeakMap()
    states = size
  }
  built.set(source, found)
  return found
}

function charsOf(text: string): Atom[] {
  return [...text].map((char) => ({ kind: "char", at: 0, char }))
}

/** Sets of states that names have led to, with the way from each on a character: names look alike, so that nearly every step is a look-up. */
type Way = { readonly states: readonly number[]; readonly ends: boolean; readonly next: Map<number, Way> }
type Ways = { readonly start: Way; readonly byStates: Map<string, Way> }
/** Steps that are remembered, of all automata together; forgotten all at once when there are too many. */
const KEPT_MAX = 200_000
let ways = new WeakMap<Automaton, Ways>()
let kept = 0

/** Whether the automaton reads this name from end to end. Costs at most the name's length times the states, whatever the glob. Throws `TooLong`. */
export function accepts(automaton: Automaton, name: string, effort: Effort): boolean {
  let known = ways.get(automaton)
  if (known === undefined) {
    known = { start: wayTo(automaton, [0]), byStates: new Map() }
    ways.set(automaton, known)
  }
  let at = known.start
  spend(effort, name.length)
  for (const char of name) {
    const code = char.codePointAt(0) as number
    let next = at.next.get(code)
    if (next === undefined) {
      spend(effort, 4 * at.states.length)
      next = step(automaton, known, at, code)
    }
    if (next.states.length === 0) return false
    at = next
  }
  return at.ends
}

function step(automaton: Automaton, { byStates }: Ways, from: Way, code: number): Way {
  const reached: number[] = []
  for (const state of from.states) for (const { on, to } of automaton.edges[state] as readonly Edge[]) if (on !== null && has(on, code)) reached.push(to)
  const key = reached.join(" ")
  let way = byStates.get(key)
  if (way === undefined) byStates.set(key, (way = wayTo(automaton, reached)))
  from.next.set(code, way)
  kept += 1 + way.states.length
  if (kept > KEPT_MAX) {
    ways = new WeakMap()
    kept = 0
  }
  return way
}

function wayTo({ edges, end }: Automaton, from: readonly number[]): Way {
  const states = reach(edges, from)
  return { states: [...states], ends: states.has(end), next: new Map() }
}

/** These states, and all that are reached from them without reading. */
function reach(edges: Automaton["edges"], from: readonly number[]): Set<number> {
  const found = new Set(from)
  for (const at of found) for (const { on, to } of edges[at] as readonly Edge[]) if (on === null) found.add(to)
  return found
}

/** A name that both automata read, or null where there is none. Throws `TooLong`. */
export function nameInBoth(a: Automaton, b: Automaton, effort: Effort): string | null {
  return search(a, b, effort)
}

/** A name that the automaton reads, or null where it reads none that a file can have. */
export function witness(a: Automaton): string | null {
  return search(a, null, { left: Infinity })
}

/** Where a name stands: `.` and `..` are no names of files, and neither is nothing. */
const [EMPTY, DOT, DOTS, NAMED] = [0, 1, 2, 3]
const PERIOD = 0x2e

/** A walk over pairs of states, each visited once; the way back to the start spells the name. */
function search(a: Automaton, b: Automaton | null, effort: Effort): string | null {
  const width = b?.edges.length ?? 1
  const seen = new Set<number>()
  // Pairs in the order in which they were found; of each the place of the one before it, and the character between them, or -1.
  const queue: number[] = []
  const came: number[] = []
  const codes: number[] = []
  const visit = (stateA: number, stateB: number, dots: number, from: number, code: number): void => {
    const key = (stateA * width + stateB) * 4 + dots
    if (seen.has(key)) return
    spend(effort, PAIR_STEPS)
    seen.add(key)
    queue.push(key)
    came.push(from)
    codes.push(code)
  }
  visit(0, 0, EMPTY, -1, -1)
  for (let at = 0; at < queue.length; at += 1) {
    const key = queue[at] as number
    const dots = key % 4
    const stateB = ((key - dots) / 4) % width
    const stateA = ((key - dots) / 4 - stateB) / width
    if (stateA === a.end && (b === null || stateB === b.end) && dots === NAMED) return spell(came, codes, at)
    const stepsA = a.edges[stateA] as readonly Edge[]
    const stepsB = b === null ? FREE : (b.edges[stateB] as readonly Edge[])
    for (const { on, to } of stepsA) {
      spend(effort, 1)
      if (on === null) visit(to, stateB, dots, at, -1)
      else
        for (const other of stepsB) {
          if (other.on === null) continue
          spend(effort, on.length + other.on.length)
          const code = pleasant(on, other.on)
          if (code === null) continue
          const nextB = b === null ? 0 : other.to
          // Where another character than a dot is possible, whatever follows is possible after it too.
          visit(to, nextB, code === PERIOD ? dotted(dots) : NAMED, at, code)
        }
    }
    if (b !== null) for (const { on, to } of stepsB) if (on === null) visit(stateA, to, dots, at, -1)
  }
  return null
}

const FREE: readonly Edge[] = [{ on: ANY_CHAR, to: 0 }]

function dotted(dots: number): number {
  if (dots === EMPTY) return DOT
  return dots === DOT ? DOTS : NAMED
}

function spell(came: readonly number[], codes: readonly number[], last: number): string {
  const chars: string[] = []
  for (let at = last; at >= 0; at = came[at] as number) if ((codes[at] as number) >= 0) chars.push(String.fromCodePoint(codes[at] as number))
  return chars.toReversed().join("")
}

/** A character of both that reads well in an example, a dot only where there is nothing else; null where they have none in common. */
function pleasant(a: Ranges, b: Ranges): number | null {
  for (const code of [0x78, 0x61, 0x41, 0x30]) if (has(a, code) && has(b, code)) return code
  let first: number | null = null
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [lowA, highA] = a[i] as readonly [number, number]
    const [lowB, highB] = b[j] as readonly [number, number]
    const low = Math.max(lowA, lowB)
    const high = Math.min(highA, highB)
    if (low <= high) {
      const code = Math.max(low, Math.min(high, 0x21))
      if (high > 0x20 && high !== PERIOD) return code
      first ??= code
    }
    if (highA < highB) i += 1
    else j += 1
  }
  return first
}
