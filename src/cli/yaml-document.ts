import { Composer, type CST, type Document, isScalar, Lexer, LineCounter, Parser, visit } from "yaml"
import { UsageError } from "./failure.ts"

/** Levels of lists and maps in each other: no file of ours has ten. Beyond some hundred the library would run out of stack, and before that out of time. */
const DEPTH_MAX = 64
/** Values that may be reached through aliases: a YAML bomb has far more. */
const ALIASED_MAX = 100

/** The first document of a text, where another begins behind it, and where it nests deeper than `DEPTH_MAX`: what came before then counts for nothing. */
type Composed = { document: Document.Parsed | undefined; secondAt: number | null; tooDeepAt: number | null }

export const TOO_DEEP = `lists and maps nest deeper than ${DEPTH_MAX} levels here`
export const FLATTER = "Close the brackets above, or write it flatter."
export const MEND = "Mend the indentation, quotes or brackets there."

/**
 * YAML 1.2, of which JSON is a part, in a time that grows with the text alone: the library's own messages, which quote the line of each fault, and its look
 * for keys that come twice take minutes for a few hundred KiB of what they complain about. `lines` then knows where each offset stands.
 */
export function composeYaml(text: string, lines: LineCounter): Composed {
  let tooDeepAt: number | null = null
  function* tokens(): Generator<CST.Token, void> {
    const parser = new Parser(lines.addNewLine)
    lines.addNewLine(0)
    for (const lexeme of new Lexer().lex(text)) {
      yield* parser.next(lexeme)
      if (parser.stack.length <= DEPTH_MAX) continue
      tooDeepAt = parser.offset
      return
    }
    yield* parser.end()
  }
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false, logLevel: "error", version: "1.2", schema: "core", strict: true })
  const [document, second] = composer.compose(tokens(), true, text.length)
  return { document, secondAt: second?.range[0] ?? null, tooDeepAt }
}

/** What a text holds, and `file:line:column` of an offset in it. */
export type ReadYaml = { value: unknown; document: Document.Parsed | undefined; where: (offset: number) => string }

/** Reads a small file. Throws `UsageError` with line and column where it is no YAML, nests too deep, has a key twice, or aliases that stand for nothing or too much. */
export function readYaml(text: string, path: string): ReadYaml {
  const lines = new LineCounter()
  const { document, secondAt, tooDeepAt } = composeYaml(text, lines)
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  if (tooDeepAt !== null) throw new UsageError(`${where(tooDeepAt)}: ${TOO_DEEP}`, FLATTER)
  const [fault] = document?.errors ?? []
  if (fault !== undefined) throw new UsageError(`${where(fault.pos[0])}: this is no YAML: ${fault.message.split("\n", 1)[0] ?? ""}`, MEND)
  if (secondAt !== null) throw new UsageError(`${where(secondAt)}: a second document begins here`, "Keep one in one file, without `---` between.")
  const twice = keyTwice(document)
  if (twice !== null) throw new UsageError(`${where(twice.at)}: the key ${JSON.stringify(twice.key)} is there already`, "Keep one of the two.")
  try {
    return { value: document?.toJS({ maxAliasCount: ALIASED_MAX }), document, where }
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`, "Write the value out where the alias (*name) stands.")
  }
}

function keyTwice(document: Document.Parsed | undefined): { key: string; at: number } | null {
  let found: { key: string; at: number } | null = null
  if (document !== undefined)
    visit(document, {
      Map: (_, map) => {
        const keys = new Set<unknown>()
        for (const { key } of map.items) {
          if (!isScalar(key)) continue
          if (!keys.has(key.value)) keys.add(key.value)
          else {
            found = { key: String(key.value), at: key.range?.[0] ?? 0 }
            return visit.BREAK
          }
        }
        return undefined
      },
    })
  return found
}
