/**
 * Folders whose tests share processes, one a worker: those import zod, the contract and the core, and start a browser, once and not once a file. They MUST
 * leave their process as they found it: test/tidy.test.ts looks for what would change it.
 */
const FOLDERS = ["src/contract", "src/core", "src/dashboard", "src/hub", "src/surface", "src/ledger", "src/client", "src/cli/simulation", "test/page"]

/** Of folders where others need a process of their own, the files that take less than what such a process costs. */
const SMALL: Readonly<Record<string, string>> = {
  "src/cli": "agent-identity claim-rule consent doctor export flight-text folder instance-watch mcp-lines plan-document printable quantity run-team table",
  "src/repo": "agent-kinds askable-path path settings-files settings-json",
  "src/runtime":
    "agent-keeper deliverable hook-call hook-mark hook-messages hook-paths hook-shell hook-turn hook-usage native-inbox orders process-table quota-notice screen-reports usage-reports wake-text",
  "src/runtime/tmux": "typable",
  test: "released-ledgers run-record wake-numbers wake-reasons",
}

const FILES = Object.entries(SMALL).flatMap(([folder, names]) => names.split(" ").map((name) => `${folder}/${name}.test.ts`))

/** All of them, as globs. */
export const SHARING = [...FOLDERS.map((folder) => `${folder}/**/*.test.{ts,tsx}`), ...FILES]

export function isSharing(file: string): boolean {
  return FILES.includes(file) || FOLDERS.some((folder) => file.startsWith(`${folder}/`))
}
