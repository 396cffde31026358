import { spawnSync } from "node:child_process"
import { constants } from "node:os"
import { join } from "node:path"
import { parseArgs, type ParseArgsConfig } from "node:util"

/** Says what is wrong with a command line and how it is right, and ends the process with status 2. */
export function wrongUse(why: string, usage: string): never {
  process.stderr.write(`${why}\nusage: ${usage}\n`)
  process.exit(2)
}

/**
 * What a command line says. Ends the process (`wrongUse`) at a word or an option that is not known, at one without its value, and at one that npm kept; and with
 * status 0 where it is asked for help, which is the usage and `about`.
 */
export function readCommandLine<const Config extends ParseArgsConfig>(config: Config, usage: string, about: string): ReturnType<typeof parseArgs<Config>> {
  if (process.argv.slice(2).some((word) => word === "--help" || word === "-h")) {
    process.stdout.write(`usage: ${usage}\n\n${about}\n`)
    process.exit(0)
  }
  // Without the -- npm keeps an option, and the script would do as if nobody had given it. `target` may be set for node-gyp.
  const kept = Object.keys(config.options ?? {}).find(
    (name) => name !== "target" && process.env[`npm_config_${name}`] !== undefined && !process.argv.some((word) => word.startsWith(`--${name}`)),
  )
  if (kept !== undefined) wrongUse(`npm took --${kept} for its own: write -- before the options`, usage)
  try {
    return parseArgs(config)
  } catch (error) {
    const [why = ""] = (error as Error).message.split(/\.? ?\n|\. /)
    return wrongUse(why.replace("argument is ambiguous", "takes a value, and none that begins with a dash"), usage)
  }
}

/** Builds dist/ where it is not what the sources make; says so on standard error, since standard output may be for a program. Ends the process where it fails. */
export function build(): void {
  const { status, signal } = spawnSync(process.execPath, ["scripts/build.ts"], { cwd: join(import.meta.dirname, ".."), stdio: ["ignore", 2, 2] })
  if (signal !== null) process.exit(128 + constants.signals[signal])
  if (status !== 0) process.exit(status ?? 1)
}

/** An option's whole number, `least` or more. Ends the process (`wrongUse`) where it is none. */
export function wholeNumber(option: string, text: string, least: number, usage: string): number {
  const number = text.trim() === "" ? Number.NaN : Number(text)
  if (!Number.isSafeInteger(number) || number < least)
    wrongUse(`--${option} takes a whole number${least > Number.MIN_SAFE_INTEGER ? ` of ${least} or more` : ""}, not "${text}"`, usage)
  return number
}

/**
 * Has Ctrl-C, SIGTERM and a terminal that goes away end the process through the listeners of `exit`: those end what it started and remove what it made. So
 * does whoever reads what it prints and has seen enough (`| head`): nobody would hear what comes of the rest. Status 141 is what a shell tells of a closed pipe.
 */
export function leaveInOrder(): void {
  // Listened to until the end: a second Ctrl-C, which npm passes on beside the terminal's, would kill it over its listeners of `exit`.
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(128 + constants.signals[signal]))
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(141)
    process.stderr.write(`what came of it could not be written to standard output: ${error.message}\n`)
    process.exit(1)
  })
}
