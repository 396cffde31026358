/** Where a text is nested deeper, or one rule has longer chains, than Cedar can take: 1-based. */
export type TooDeep = { line: number; column: number; message: string; remedy: string }

/**
 * Cedar's parser calls itself for each level, and its WASM has 1 MiB of stack. Where that runs out the engine is broken for good, for every later decision too; so
 * such a text MUST never reach it. Measured with cedar-wasm 4 from inside 200 calls: brackets hold to 100 levels, `if` to 400, chains of `+` to 1,200 and of dots to 1,600.
 */
const LEVELS_MAX = 32
const LINKS_MAX = 500
/** What an `if` takes of the stack, in links of a chain. */
const IF_LINKS = 4

/** Comments, which end at either kind of line end, and strings are passed over whole. */
const TOKEN = /\/\/[^\n\r]*|"[^"\\]*(?:\\.[^"\\]*)*"|\bif\b|&&|\|\||[-+*.()[\]{};]/gs

/** Looks for a place where a policy's text is nested too deeply for Cedar, or is no text that it can be told; null where it is not. */
export function tooDeep(text: string): TooDeep | null {
  const half = text.search(/\p{Surrogate}/u)
  if (half >= 0)
    return { ...placeAt(text, half), message: "half of a character stands here, without its other half", remedy: "Write the whole character, or leave it out." }
  let levels = 0
  let links = 0
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token.startsWith("//") || token.startsWith('"')) continue
    if ("([{".includes(token)) levels += 1
    else if (")]}".includes(token)) levels -= 1
    else if (token !== ";") links += token === "if" ? IF_LINKS : 1
    else if (levels <= 0) [levels, links] = [0, 0]
    if (levels > LEVELS_MAX)
      return {
        ...placeAt(text, index),
        message: `brackets are nested more than ${LEVELS_MAX} deep`,
        remedy: "Split the rule into several: each adds to the others.",
      }
    if (links > LINKS_MAX)
      return {
        ...placeAt(text, index),
        message: `a rule joins more than ${LINKS_MAX} parts by operators, dots and ifs`,
        remedy: 'Split it into several, or ask whether a list contains it: ["a", "b"].contains(principal.name).',
      }
  }
  return null
}

function placeAt(text: string, index: number): { line: number; column: number } {
  const before = text.slice(0, index).split("\n")
  return { line: before.length, column: [...(before.at(-1) as string)].length + 1 }
}
