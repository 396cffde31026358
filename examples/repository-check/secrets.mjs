/** Secrets in the tracked files. What is found is named by place and kind, never shown, not even in part. */
import { contents, isSymlink, trackedFiles } from "./checkout.mjs"
import { deliver } from "./delivery.mjs"
import { code, list, plural, size } from "./markdown.mjs"
import { findSecrets } from "./secret.mjs"

const LARGEST_BYTES = 2 << 20
// A file that declares, in a comment near its top, that what looks like a secret in it is made up.
const DECLARED = /secret-scan: fixtures?\b/
const DECLARED_LINES = 20

const candidates = trackedFiles().filter((file) => file.kind === "blob" && !isSymlink(file))
const read = candidates.filter((file) => file.bytes <= LARGEST_BYTES)
const found = []
const allowed = []
let binaries = 0

for (const [file, bytes] of contents(read)) {
  if (bytes.subarray(0, 8000).includes(0)) {
    binaries++
    continue
  }
  const text = bytes.toString()
  const secrets = findSecrets(text)
  if (secrets.length === 0) continue
  const declared = DECLARED.test(text.split("\n", DECLARED_LINES).join("\n"))
  let line = 1
  let counted = 0
  for (const { rule, at, length } of secrets) {
    for (; counted < at; counted++) if (text[counted] === "\n") line++
    const report = `${code(`${file.path}:${line}`)} ${rule}, ${length} characters`
    if (declared) allowed.push(report)
    else found.push(report)
  }
}

const skipped = candidates.filter((file) => file.bytes > LARGEST_BYTES)
deliver({
  check: "secrets",
  verdict: found.length > 0 ? "findings" : "ok",
  findings: found.length,
  summary: [
    `${plural(found.length, "secret")} in ${plural(read.length - binaries, "text file")}`,
    ...(allowed.length > 0 ? [`${allowed.length} more in files that declare themselves fixtures`] : []),
    "the history is not searched",
  ].join("; "),
  body: [
    list(found, 40),
    ...(allowed.length > 0 ? ["Declared as fixtures:", list(allowed)] : []),
    ...(skipped.length > 0
      ? [
          `Not read because larger than ${size(LARGEST_BYTES)}:`,
          list(
            skipped.map((file) => code(file.path)),
            5,
          ),
        ]
      : []),
    ...(found.length > 0 ? ["A secret that was committed is known: revoke it first, then remove it."] : []),
  ]
    .filter(Boolean)
    .join("\n\n"),
})
