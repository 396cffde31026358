/** What a secret looks like. Patterns are linear in the text: every repetition is bounded or of one character class. */

// [name, pattern whose group 1 is the secret (else all of it), least entropy in bits a character]
const RULES = [
  ["private key", /-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----([A-Za-z0-9+/=\s\\:,"']{40,20000})/g, 0],
  ["AWS access key", /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, 2.5],
  ["GitHub token", /\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{40,255})\b/g, 3],
  ["GitLab token", /\bglpat-[A-Za-z0-9_-]{20,64}/g, 3],
  ["Slack token", /\bxox[abeoprs]-[A-Za-z0-9-]{16,255}/g, 2.5],
  ["Google API key", /\bAIza[A-Za-z0-9_-]{35}/g, 3],
  ["Stripe key", /\b[sr]k_live_[A-Za-z0-9]{16,255}\b/g, 3],
  ["model provider key", /\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{32,255}/g, 3.5],
  ["npm token", /\bnpm_[A-Za-z0-9]{36}\b/g, 3],
  ["JSON web token", /\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{20,2000}/g, 3.5],
  ["password in a URL", /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/'"`<>$\\]{1,64}:([^\s:@/'"`<>${}\\]{8,128})@/gi, 2.5],
  [
    "assigned secret",
    /(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)["']?\s{0,4}(?:[:=]|=>)\s{0,4}["']([^\s"'`]{16,256})["']/gi,
    3.6,
  ],
  [
    "assigned secret",
    /^[ \t]{0,8}(?:export )?[A-Z0-9_]{0,40}(?:PASSWORD|SECRET|TOKEN|API_?KEY|ACCESS_KEY)[ \t]{0,4}=[ \t]{0,4}([A-Za-z0-9+/=_.~-]{16,256})[ \t]{0,4}$/gm,
    3.6,
  ],
]

const PLACEHOLDER = /example|placeholder|change.?me|your[_-]|dummy|redacted|x{6}|\*{4}|0{8}|1234567|\.\.\.|process\.env|\$\{|\{\{|^<|^%|^\$/i
// A code identifier assigned to `token` and the like: `a.b.c`, `snake_case`, `camelCase`, a path, words with no digit in them.
const IDENTIFIER = /^(?:[A-Za-z_./:@-]+|[a-z]+(?:[._/:-][a-z0-9]+)+)$/

/** Shannon entropy in bits a character. */
export function entropy(text) {
  const counts = new Map()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

/** Every secret in `text`: `{ rule, at, length }`, `at` the offset of the secret itself. One stretch of text is found once. */
export function findSecrets(text) {
  const found = []
  for (const [rule, pattern, leastEntropy] of RULES) {
    for (const match of text.matchAll(pattern)) {
      const secret = match[1] ?? match[0]
      if (rule === "private key" ? !/[A-Za-z0-9+/=]{40}/.test(secret) : PLACEHOLDER.test(secret)) continue
      if (rule === "assigned secret" && IDENTIFIER.test(secret)) continue
      if (entropy(secret) < leastEntropy) continue
      found.push({ rule, at: match.index + match[0].lastIndexOf(secret), length: secret.length })
    }
  }
  let end = 0
  // The sort is stable: of two rules that find the same, the one further up names it.
  return found.sort((a, b) => a.at - b.at).filter(({ at, length }) => at >= end && (end = at + length) > 0)
}

/** `text` with every secret replaced. Applied to all that is delivered: file names, commit messages and tools can quote one. */
export function redact(text) {
  let kept = ""
  let from = 0
  for (const { at, length } of findSecrets(text)) {
    kept += `${text.slice(from, at)}(secret of ${length} characters)`
    from = at + length
  }
  return kept + text.slice(from)
}
