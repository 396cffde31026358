import { type Alternative, composed, type Glob, isGlobFault, parseGlob, type Segment } from "./glob.ts"
import { accepts, automatonOf, type Effort, EFFORT_MAX, nameInBoth, spend, TooLong } from "./glob-automaton.ts"

/** For what one call compares. */
export function newEffort(steps = EFFORT_MAX): Effort {
  return { left: steps }
}

/** Whether the glob matches a path that is relative to the repository's top. */
export function matches(glob: Glob, path: string, effort = newEffort()): boolean {
  const segments = segmentsOf(path)
  return glob.alternatives.some((alternative) => matchesAlternative(alternative, segments, effort))
}

/** The segments of a path, its characters composed: however a disk spells a name that looks the same, it is the same. */
export function segmentsOf(path: string): string[] {
  return composed(path).split("/")
}

/** Whether there can be a path that both globs match, whether or not it exists. */
export function intersects(a: Glob, b: Glob): boolean {
  return pathInBoth(a, b) !== null
}

/**
 * An example of a path that both globs match, or null where there can be none. Exact, and never null where one exists; where the effort is at its end they
 * count as meeting, in a path of the first: who takes too long to compare blocks nobody but those in whose way it is.
 */
export function pathInBoth(a: Glob, b: Glob, effort = newEffort()): string | null {
  try {
    for (const one of a.alternatives) {
      for (const other of b.alternatives) {
        spend(effort, 1)
        const path = commonSegments(one.segments, other.segments, effort)
        if (path !== null) return path
      }
    }
    return null
  } catch (error) {
    if (error instanceof TooLong) return exampleOf(a)
    throw error
  }
}

const examples = new WeakMap<Glob, string>()

/** A path that the glob matches. */
function exampleOf(glob: Glob): string {
  const known = examples.get(glob)
  if (known !== undefined) return known
  const segments = glob.alternatives[0]?.segments ?? []
  const names = segments.flatMap((segment) => (segment.kind === "any" ? [] : [example(segment)]))
  const path = names.length === 0 || segments.at(-1)?.kind === "any" ? [...names, "x"].join("/") : names.join("/")
  examples.set(glob, path)
  return path
}

/** What takes too long to tell counts as matched. */
export function matchesAlternative(alternative: Alternative, path: readonly string[], effort: Effort): boolean {
  try {
    return walk(alternative, path, effort)
  } catch (error) {
    if (error instanceof TooLong) return true
    throw error
  }
}

/** Greedy: when a later segment does not fit, only the last `**` before it need take one more. */
function walk({ segments }: Alternative, path: readonly string[], effort: Effort): boolean {
  const last = segments.at(-1)
  // Where the last names differ, nothing before them matters.
  if (last !== undefined && last.kind !== "any" && !fits(last, path.at(-1) as string, effort)) return false
  let at = 0
  let pattern = 0
  let retryPattern = -1
  let retryAt = 0
  while (at < path.length) {
    const segment = segments[pattern]
    if (segment?.kind === "any") {
      retryPattern = pattern
      retryAt = at
      pattern += 1
    } else if (segment !== undefined && fits(segment, path[at] as string, effort)) {
      pattern += 1
      at += 1
    } else if (retryPattern >= 0) {
      retryAt += 1
      at = retryAt
      pattern = retryPattern + 1
    } else return false
  }
  while (segments[pattern]?.kind === "any") pattern += 1
  return pattern === segments.length
}

function fits(segment: Exclude<Segment, { kind: "any" }>, name: string, effort: Effort): boolean {
  spend(effort, 1)
  if (segment.kind === "literal") return segment.text === name
  const { kind, prefix, suffix } = segment
  if (name.length < prefix.length + suffix.length || !name.startsWith(prefix) || !name.endsWith(suffix)) return false
  return kind === "star" || accepts(automatonOf(segment, effort), name, effort)
}

/** How a pair of positions was reached: from which, and over which segment of the path (null: none). */
type Came = { from: number; name: string | null }

/** A walk over pairs of positions in the two lists of segments; the way back to the start is the path. */
function commonSegments(a: readonly Segment[], b: readonly Segment[], effort: Effort): string | null {
  const [lastA, lastB] = [a.at(-1), b.at(-1)]
  // Both name the last segment: where these have nothing in common, nothing before them matters.
  if (lastA !== undefined && lastB !== undefined && lastA.kind !== "any" && lastB.kind !== "any" && common(lastA, lastB, effort) === null) return null
  const width = b.length + 1
  const came = new Map<number, Came>([[0, { from: -1, name: null }]])
  const stack = [0]
  const visit = (atA: number, atB: number, from: number, name: string | null): void => {
    const key = atA * width + atB
    if (came.has(key)) return
    came.set(key, { from, name })
    stack.push(key)
  }
  for (let key = stack.pop(); key !== undefined; key = stack.pop()) {
    spend(effort, 1)
    const atB = key % width
    const atA = (key - atB) / width
    if (atA === a.length && atB === b.length) return spell(came, key, a, b)
    const [segmentA, segmentB] = [a[atA], b[atB]]
    if (segmentA?.kind === "any") {
      if (segmentB !== undefined && segmentB.kind !== "any") visit(atA, atB + 1, key, example(segmentB))
      visit(atA + 1, atB, key, null)
    }
    if (segmentB?.kind === "any") {
      if (segmentA !== undefined && segmentA.kind !== "any") visit(atA + 1, atB, key, example(segmentA))
      visit(atA, atB + 1, key, null)
    }
    if (segmentA === undefined || segmentB === undefined || segmentA.kind === "any" || segmentB.kind === "any") continue
    const name = common(segmentA, segmentB, effort)
    if (name !== null) visit(atA + 1, atB + 1, key, name)
  }
  return null
}

function spell(came: ReadonlyMap<number, Came>, last: number, a: readonly Segment[], b: readonly Segment[]): string {
  const names: string[] = []
  for (let key = last; key >= 0;) {
    const { from, name } = came.get(key) as Came
    if (name !== null) names.push(name)
    key = from
  }
  // `src/**` matches `src` too, but an example within it says more; a path has at least one segment anyway.
  if (names.length === 0 || (a.at(-1)?.kind === "any" && b.at(-1)?.kind === "any")) names.unshift("x")
  return names.toReversed().join("/")
}

type Named = Exclude<Segment, { kind: "any" }>

/** A name that both segments match, or null. */
function common(a: Named, b: Named, effort: Effort): string | null {
  if (a.kind === "literal") return fits(b, a.text, effort) ? a.text : null
  if (b.kind === "literal") return fits(a, b.text, effort) ? b.text : null
  const prefix = a.prefix.length > b.prefix.length ? a.prefix : b.prefix
  const suffix = a.suffix.length > b.suffix.length ? a.suffix : b.suffix
  if (!prefix.startsWith(a.prefix) || !prefix.startsWith(b.prefix) || !suffix.endsWith(a.suffix) || !suffix.endsWith(b.suffix)) return null
  if (a.kind === "star" && b.kind === "star") return `${prefix}x${suffix}`
  return nameInBoth(automatonOf(a, effort), automatonOf(b, effort), effort)
}

function example(segment: Named): string {
  if (segment.kind === "literal") return segment.text
  return segment.kind === "star" ? `${segment.prefix}x${segment.suffix}` : segment.example
}

/** Globs that were read before: tasks and leases are compared by the same texts again and again. Forgotten all at once when there are too many. */
const KNOWN_MAX = 20_000
const known = new Map<string, Glob | null>()

/** `parseGlob` that remembers; null where the text is no glob. */
export function globOf(text: string): Glob | null {
  const found = known.get(text)
  if (found !== undefined) return found
  if (known.size >= KNOWN_MAX) known.clear()
  const glob = parseGlob(text)
  const read = isGlobFault(glob) ? null : glob
  known.set(text, read)
  return read
}
