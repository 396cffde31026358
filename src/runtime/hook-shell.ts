/** Paths that one call can name: a longer list is cut, since the hub takes no more at a time, and git's guard sees the rest. */
const PATHS_MAX = 64

/** Files that a patch in the format of `apply_patch` adds, changes, deletes or moves to. */
export function patchedPaths(patch: string): string[] {
  const paths = [...patch.matchAll(/^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)\r?$/gm)].map(([, path = ""]) => path)
  return [...new Set(paths)].slice(0, PATHS_MAX)
}

/**
 * Files that a shell command line writes, as far as its words tell, with a slash at the end of what is written whole if it is a folder: targets of redirections, and the arguments of programs that are there to write. A shell can
 * hide a name from anyone who does not run it (globs, variables, scripts, `eval`): this catches what an agent does in good faith; git's guard stops the commit of the rest.
 */
export function writtenPaths(command: string): string[] {
  const found = new Set<string>(patchedPaths(command))
  for (const words of commandsIn(new ShellWords(command).read())) for (const path of writtenBy(words)) found.add(path)
  return [...found].slice(0, PATHS_MAX)
}

type Word = { text: string; operator: boolean }

/** Reads the words of a command line, quotes taken off; operators stand for themselves, here-documents are left out as the data that they are. Linear in its length. */
class ShellWords {
  readonly #text: string
  readonly #words: Word[] = []
  /** Ends of here-documents whose text begins on the next line. */
  readonly #ends: string[] = []
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Word[] {
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] as string
      if (char === "\n") this.#newLine()
      else if (/\s/.test(char)) this.#at += 1
      else if (";|&<>()".includes(char)) this.#operator(char)
      else this.#word()
    }
    return this.#words
  }

  #newLine(): void {
    this.#words.push({ text: "\n", operator: true })
    this.#at += 1
    for (const end of this.#ends.splice(0)) {
      while (this.#at < this.#text.length) {
        const stop = this.#text.indexOf("\n", this.#at)
        const line = this.#text.slice(this.#at, stop === -1 ? undefined : stop)
        this.#at = stop === -1 ? this.#text.length : stop + 1
        if (line.trim() === end) break
      }
    }
  }

  #operator(char: string): void {
    const start = this.#at
    const redirects = char === "<" || char === ">" || (char === "&" && this.#text[start + 1] === ">")
    while (this.#at < this.#text.length && (redirects ? "<>&|-" : char).includes(this.#text[this.#at] as string)) this.#at += 1
    const text = this.#text.slice(start, this.#at)
    this.#words.push({ text, operator: true })
    if (text !== "<<" && text !== "<<-") return
    while (this.#text[this.#at] === " ") this.#at += 1
    this.#ends.push(this.#word())
  }

  #word(): string {
    let text = ""
    const start = this.#at
    for (; this.#at < this.#text.length; this.#at += 1) {
      const char = this.#text[this.#at] as string
      if (/[\s;|&<>()]/.test(char)) break
      if (char === "\\") text += this.#text[(this.#at += 1)] ?? ""
      else if (char === "'" || char === '"') text += this.#quoted(char)
      else text += char
    }
    const numbersStream = /^[<>]/.test(this.#text[this.#at] ?? "") && /^\d$/.test(this.#text.slice(start, this.#at))
    if (!numbersStream) this.#words.push({ text, operator: false })
    return text
  }

  /** What stands between two quotes; the place is then at the second. */
  #quoted(quote: string): string {
    let text = ""
    for (this.#at += 1; this.#at < this.#text.length && this.#text[this.#at] !== quote; this.#at += 1) {
      if (quote === '"' && this.#text[this.#at] === "\\") this.#at += 1
      text += this.#text[this.#at] ?? ""
    }
    return text
  }
}

/** Its simple commands, with the targets of their redirections marked. */
function commandsIn(words: readonly Word[]): Word[][] {
  const commands: Word[][] = [[]]
  for (const word of words) {
    if (word.operator && !/[<>]/.test(word.text)) commands.push([])
    else commands.at(-1)?.push(word)
  }
  return commands
}

/** Programs that write every file they are given, and those that write the last one only. */
const WRITE_ALL = new Set(["rm", "unlink", "touch", "tee", "truncate", "shred", "chmod"])
const WRITE_LAST = new Set(["cp", "ln", "install", "rsync"])

function writtenBy(command: readonly Word[]): string[] {
  const targets: string[] = []
  const words: string[] = []
  for (let at = 0; at < command.length; at += 1) {
    const { text, operator } = command[at] as Word
    if (!operator) {
      words.push(text)
      continue
    }
    const target = command[(at += 1)]
    if (
      text.includes(">") &&
      target !== undefined &&
      !target.operator &&
      !target.text.startsWith("/dev/") &&
      !(text.endsWith("&") && /^\d+$/.test(target.text))
    )
      targets.push(target.text)
  }
  const first = words.findIndex((word) => !/^(?:\w+=|(?:sudo|env|command|time|nohup)$)/.test(word))
  const [program = "", ...rest] = words.slice(Math.max(first, 0))
  const name = program.replace(/^.*\//, "")
  const files = rest.filter((word) => !word.startsWith("-")).map((word) => word.replace(/(?<=.)\/+$/, ""))
  const isRecursive = rest.some((word) => /^(-[a-zA-Z]*[rR]|--recursive)/.test(word))
  if (name === "mv") return [...targets, ...files.slice(0, -1).map(whole), ...files.slice(-1)]
  if (WRITE_ALL.has(name)) return [...targets, ...(isRecursive ? files.map(whole) : files)]
  if (WRITE_LAST.has(name)) return [...targets, ...files.slice(-1)]
  // Their first argument is a program, with -e or without.
  if ((name === "sed" || name === "perl") && rest.some((word) => /^(-[a-zA-Z]*i|--in-place)/.test(word))) return [...targets, ...files.slice(1)]
  if (name === "dd") return [...targets, ...rest.flatMap((word) => (word.startsWith("of=") ? [word.slice(3)] : []))]
  if (name === "git" && /^(checkout|restore|rm|mv)$/.test(files[0] ?? "")) {
    if (files[0] === "mv") return [...targets, ...files.slice(1, -1).map(whole), ...files.slice(-1)]
    if (rest.includes("--")) return [...targets, ...rest.slice(rest.indexOf("--") + 1).map(whole)]
    // Without the dashes it may be a branch.
    return [...targets, ...(files[0] === "checkout" ? files.slice(1) : files.slice(1).map(whole))]
  }
  return targets
}

/** Where it is a folder, all that lies in it. */
function whole(name: string): string {
  return `${name.replace(/\/+$/, "")}/`
}
