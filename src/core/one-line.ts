/** C0 and C1 controls, line separators and what turns the direction of text: none of them may stand in a name, title or label. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
/** Nor half of a character: looked for apart, as in one pattern a text beyond ASCII takes three times as long. */
const CONTROLS = new RegExp(`(?:${CONTROL.source}|\\p{Surrogate})+`, "gu")

/** Whether a text is one line that says what it shows. */
export function isOneLine(text: string): boolean {
  return text.isWellFormed() && !CONTROL.test(text)
}

/** The text as one line, with `instead` for each run of what may not stand in it. */
export function onOneLine(text: string, instead: string): string {
  return text.replace(CONTROLS, instead)
}
