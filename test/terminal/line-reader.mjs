// A small terminal program for tests: reads lines as agents do, and writes each that reached its "model" to a file, one JSON text a line.
// Arguments: MODE FILE [SCENE]. Modes: `paste` (raw, with bracketed paste; an Enter right after a paste is taken as part of it, as Codex does), `plain` (raw,
// without), `readline` (Node's own). Scenes: `menu` asks something at the start, `slow` is ready after a second, `stubborn` minds only the second Enter.
// Lines that it obeys: `/menu` asks something, `/die` ends with status 3, `/out` says that its account is used up.
import { appendFileSync } from "node:fs"
import { createInterface } from "node:readline"

const [, , mode, file, scene] = process.argv
const PASTE_SETTLES_MS = 100
let text = ""
let menu = scene === "menu"
let asked = 0
let pasting = false
let pastedAt = 0
let enters = 0

function record(line) {
  appendFileSync(file, `${JSON.stringify(line)}\n`)
}

function submit(line) {
  if (line === "") return
  if (line === "/die") process.exit(3)
  if (line === "/menu") menu = true
  else if (line === "/out") process.stdout.write("\r\nYou've hit your usage limit\r\n")
  record({ text: line })
  draw()
}

function draw() {
  if (menu) process.stdout.write("\r\n\x1b[KAllow this command?\r\n\x1b[K❯ 1. Yes\r\n\x1b[K  2. No\r\n")
  else process.stdout.write(`\r\x1b[K> ${text.split("\n").at(-1).slice(-60)}`)
}

function key(character) {
  if (menu) {
    record({ answered: character })
    menu = false
    asked += 1
  } else if (character === "\r") {
    if (pasting) text += "\n"
    else if (mode === "paste" && Date.now() - pastedAt < PASTE_SETTLES_MS) text += "\n"
    else if (scene === "stubborn" && text !== "" && (enters += 1) % 2 === 1) return
    else {
      const line = text
      text = ""
      process.stdout.write(`\r\n(${line.length} characters)\r\n`)
      submit(line)
    }
  } else if (character === "\n" && !pasting) text += "\n"
  else if (character === "\x7f") text = text.slice(0, -1)
  else text += character
}

let rest = ""
function take(input) {
  const all = rest + input
  rest = ""
  for (let at = 0; at < all.length;) {
    if (all[at] === "\x1b") {
      const sequence = /^\x1b\[(200|201)~/.exec(all.slice(at))
      if (sequence !== null) {
        pasting = sequence[1] === "200"
        if (!pasting) pastedAt = Date.now()
        at += sequence[0].length
        continue
      }
      if (at > all.length - 6) {
        rest = all.slice(at)
        break
      }
      at += 1
      continue
    }
    key(all[at])
    at += 1
  }
  draw()
}

function begin() {
  process.stdout.write("ready for input\r\n")
  if (mode === "readline") {
    const reader = createInterface({ input: process.stdin, output: process.stdout, prompt: "> " })
    reader.on("line", (line) => {
      submit(line)
      reader.prompt()
    })
    reader.prompt()
    return
  }
  if (mode === "paste") process.stdout.write("\x1b[?2004h")
  process.stdin.setRawMode(true)
  process.stdin.setEncoding("utf8").on("data", take)
  draw()
}

if (scene === "slow") {
  // What comes before it is ready is lost, as with agents that are starting.
  process.stdin.setRawMode(true)
  process.stdin.on("data", () => {})
  setTimeout(() => {
    process.stdin.removeAllListeners("data")
    begin()
  }, 1_000)
} else begin()
