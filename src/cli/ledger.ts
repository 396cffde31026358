import type { Command } from "commander"
import { act, asText, collect, examples, integer, moment } from "./context.ts"
import type { TailOptions } from "./ledger-reading.ts"

const seq = integer(1, Number.MAX_SAFE_INTEGER)

/** `skein ledger`: the whole truth, and its proofs. */
export function register(program: Command): void {
  const ledger = program.command("ledger").description("Read, verify, replay and prove the ledger. What needs no hub works without one, on the ledger's file.")
  const reading = () => import("./ledger-reading.ts")
  const auditing = () => import("./ledger-auditing.ts")
  const proving = () => import("./ledger-proving.ts")
  ledger
    .command("tail")
    .description("Show the last entries, or the last ones that are looked for.")
    .option("-n, --lines <n>", "so many (default: 20; with --from or --since, all)", integer(0, 1_000_000))
    .option("--from <seq>", "the first ones from this entry on", seq)
    .option("--since <time>", "the first ones from this time on: 10:42, '2026-11-23 10:42:17', 90m (ago)", moment)
    .option("--until <time>", "none after this time", moment)
    .option("--task <task>", "what happened to this task", asText, "")
    .option("--by <agent>", "what this agent, the operator or the hub did", asText, "")
    .option("--type <type>", "of this type, or of those that begin so: task.claimed, lease", asText, "")
    .option("--text <text>", "with this text anywhere in the entry, in upper or lower case", asText, "")
    .option("--follow", "stay, and show each new one")
    .option("--file <path>", "of this ledger file")
    .addHelpText(
      "after",
      examples(
        ["skein ledger tail --follow", "what happens, as it happens"],
        ["skein ledger tail --task fix-login", "who had a task, and how each claim ended"],
        ["skein ledger tail --by goose --since 10:30 --until 10:45", "what an agent did between two moments"],
        ["skein ledger tail --from 1 --json", "every entry, one a line"],
      ),
    )
    .action(act(async (context, { by, ...options }: Omit<TailOptions, "actor"> & { by: string }) => (await reading()).tail(context, { ...options, actor: by })))
  ledger
    .command("verify")
    .description(
      "Check every entry, every checkpoint, and that nothing was cut off since the last checkpoint that is kept outside the file. Exit status 1 names the first entry that is wrong.",
    )
    .option("--file <path>", "this ledger file")
    .option("--checkpoint <file>", "compare with this signed checkpoint; may be repeated", collect(asText))
    .option("--key <vkey>", "the key that signed them (default: the instance's own); may be repeated", collect(asText))
    .addHelpText(
      "after",
      examples(
        ["skein ledger verify", "this workspace's ledger"],
        ['skein ledger verify --file backup.sqlite --checkpoint witness.note --key "$(cat log.pub)"', "a copy, against what a witness saw"],
      ),
    )
    .action(act(async (context, options: { file?: string; checkpoint?: string[]; key?: string[] }) => (await auditing()).verifyLedger(context, options)))
  ledger
    .command("replay")
    .description("Rebuild the state from the ledger's bytes alone, and compare it with every checkpoint on the way.")
    .option("--to <seq>", "up to this entry", seq)
    .option("--epoch <n>", "up to the end of this epoch: the stretch between two checkpoints", seq)
    .option("--diff <seq>", "show what changed since this entry", integer(0, Number.MAX_SAFE_INTEGER))
    .option("--file <path>", "this ledger file")
    .addHelpText(
      "after",
      examples(
        ["skein ledger replay", "the state's digest, and whether it is as recorded"],
        ["skein ledger replay --to 500 --diff 400", "what entries 401 to 500 changed"],
      ),
    )
    .action(act(async (context, options: { to?: number; epoch?: number; diff?: number; file?: string }) => (await auditing()).replayLedger(context, options)))
  ledger
    .command("epochs")
    .description("List the epochs: the stretches between two checkpoints.")
    .option("--file <path>", "of this ledger file")
    .addHelpText("after", examples(["skein ledger epochs", "from, to, root and digest of each"]))
    .action(act(async (context, options: { file?: string }) => (await auditing()).listEpochs(context, options)))
  ledger
    .command("export")
    .description("Print the entries as they were hashed, one a line, to standard output.")
    .option("--from <seq>", "from this entry on", seq, 1)
    .option("--to <seq>", "up to this one", seq)
    .option("--file <path>", "of this ledger file")
    .addHelpText("after", examples(["skein ledger export > ledger.jsonl", "the bytes themselves, never encoded again"]))
    .action(act(async (context, options: { from: number; to?: number; file?: string }) => (await reading()).exportEntries(context, options)))
  ledger
    .command("why")
    .argument("<seq>", "", seq)
    .description("Walk from an entry to what caused it, and on to the beginning.")
    .option("--file <path>", "of this ledger file")
    .addHelpText("after", examples(["skein ledger why 412", "the chain of reasons, newest first"]))
    .action(act(async (context, at: number, options: { file?: string }) => (await reading()).why(context, at, options)))
  ledger
    .command("backup <path>")
    .description("Copy the ledger's file while it is in use.")
    .option("--file <path>", "of this ledger file")
    .addHelpText("after", examples(["skein ledger backup ledger-today.sqlite", "then: skein ledger verify --file ledger-today.sqlite"]))
    .action(act(async (context, path: string, options: { file?: string }) => (await reading()).backup(context, path, options)))
  ledger
    .command("checkpoint")
    .description("Record and sign a checkpoint now, and have the witnesses cosign it.")
    .addHelpText("after", examples(["skein ledger checkpoint", "prints the signed note"]))
    .action(act(async (context) => (await proving()).makeCheckpoint(context)))
  ledger
    .command("prove")
    .argument("<seq>", "", seq)
    .description("Write a proof that an entry is in the ledger: it verifies without the hub.")
    .option("--out <file>", "to this file (default: standard output)")
    .option("--file <path>", "of this ledger file")
    .addHelpText("after", examples(["skein ledger prove 412 --out entry-412.proof", "for somebody who has no access to the ledger"]))
    .action(act(async (context, at: number, options: { out?: string; file?: string }) => (await proving()).proveEntry(context, at, options)))
  ledger
    .command("check <file>")
    .description("Check a proof, offline. Exit status 1 says why it shows nothing.")
    .option("--key <vkey>", "a key of the log that you trust (default: this instance's own); may be repeated", collect(asText))
    .option("--witness <vkey>", "a key of a witness that you trust; may be repeated", collect(asText))
    .option("--quorum <n>", "so many of these witnesses must have cosigned", integer(0, 1_000), 0)
    .addHelpText("after", examples(['skein ledger check entry-412.proof --key "$(cat log.pub)"', "the key comes from somebody you trust, not with the proof"]))
    .action(
      act(async (context, file: string, options: { key?: string[]; witness?: string[]; quorum: number }) =>
        (await proving()).checkProof(context, file, options),
      ),
    )
}
