/** What a licence asks for: `permissive`, `weak copyleft`, `copyleft`, `restricted` or `unknown`. Expressions as in SPDX 2.3, annex D. */

const CLASSES = [
  ["weak copyleft", /^(LGPL|MPL|EPL|CDDL|CPL|EUPL|MS-RL|OSL|CECILL-C|GPL-.*-(with-)?(classpath|linking|GCC|bison)-exception)/i],
  ["copyleft", /^(AGPL|GPL|CECILL|CC-BY-SA|Sleepycat|RPL|QPL)/i],
  ["restricted", /^(SSPL|BUSL|Commons-Clause|Elastic|CC-BY-N[CD]|PolyForm|UNLICENSED$)/i],
  [
    "permissive",
    /^(MIT|MIT-0|ISC|0BSD|BSD|Apache|Unlicense|CC0|CC-BY-[34]|Zlib|BlueOak|Python|PSF|WTFPL|Artistic|BSL-1|Unicode|X11|AFL|NCSA|PostgreSQL|curl|Ruby|OFL|W3C|Public Domain)/i,
  ],
]
const ORDER = ["permissive", "weak copyleft", "unknown", "copyleft", "restricted"]

function classOfOne(name, exception) {
  if (exception !== undefined && /^L?GPL/i.test(name)) return "weak copyleft"
  return CLASSES.find(([, pattern]) => pattern.test(name))?.[0] ?? "unknown"
}

/** The class of an SPDX expression: of an OR the licensee takes the mildest, of an AND the strictest binds. */
export function licenceClass(expression) {
  const tokens = typeof expression === "string" ? (expression.slice(0, 500).match(/[()]|[^\s()]+/g) ?? []) : []
  let at = 0

  function parseTerm() {
    if (tokens[at] === "(") {
      at++
      const inner = parseOr()
      if (tokens[at] === ")") at++
      return inner
    }
    const name = tokens[at++] ?? ""
    const exception = tokens[at]?.toUpperCase() === "WITH" ? tokens[(at += 2) - 1] : undefined
    return classOfOne(name, exception)
  }

  function parseChain(operator, parse, choose) {
    let chosen = parse()
    while (tokens[at]?.toUpperCase() === operator) {
      at++
      chosen = ORDER[choose(ORDER.indexOf(chosen), ORDER.indexOf(parse()))]
    }
    return chosen
  }

  const parseAnd = () => parseChain("AND", parseTerm, Math.max)
  const parseOr = () => parseChain("OR", parseAnd, Math.min)

  const result = parseOr()
  if (tokens.length === 0) return "unknown"
  // Older packages write a name with spaces in it, such as "Apache 2.0".
  return at === tokens.length ? result : / (AND|OR) /i.test(expression) ? "unknown" : classOfOne(expression.trim())
}
