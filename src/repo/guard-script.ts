import { shellQuoted } from "./shell-word.ts"

/** What each script of the guard says of itself: by it they are told from those of others. */
export const MARK = "# Written by `skein guard install`; `skein guard remove` takes it away."

/** The exit status by which `skein guard check` says no; any other but 0 means that it could not look. */
export const REFUSED = 10

/**
 * Hooks that git looks for in its hooks path: githooks(5). Each gets a script that hands on to the user's own, so that one that is added later runs too.
 */
export const HOOKS: readonly string[] = [
  "applypatch-msg",
  "pre-applypatch",
  "post-applypatch",
  "pre-commit",
  "pre-merge-commit",
  "prepare-commit-msg",
  "commit-msg",
  "post-commit",
  "pre-rebase",
  "post-checkout",
  "post-merge",
  "pre-push",
  "pre-receive",
  "update",
  "post-receive",
  "post-update",
  "pre-auto-gc",
  "post-rewrite",
  "sendemail-validate",
]

/** Their mere presence changes what git does, or costs at each look at the index: only where the user has one. */
export const HOOKS_WITH_EFFECT: readonly string[] = [
  "push-to-checkout",
  "proc-receive",
  "post-index-change",
  "fsmonitor-watchman",
  "p4-changelist",
  "p4-prepare-changelist",
  "p4-post-changelist",
  "p4-pre-submit",
]

export type ScriptPlaces = {
  /** Where the user's own hooks are; a relative path as git takes it, from where the hook runs. */
  own: string
  commonDir: string
  instanceDir: string
  /** How to start Skein: Node, and the launcher of the command. */
  node: string
  launcher: string
  /** Whether what people do, who have no agent's identity, is looked at. */
  people: boolean
}

/** Runs the user's own hook of that name with the same arguments, input and exit status; nothing where there is none. */
export function handOn(name: string, { own }: ScriptPlaces): string {
  const hook = shellQuoted(`${own}/${name}`)
  return `#!/bin/sh\n${MARK}\n[ -f ${hook} ] && [ -x ${hook} ] || exit 0\nexec ${hook} "$@"\n`
}

/**
 * The `reference-transaction` hook: Skein is started only for a transaction that is prepared, gives a branch or HEAD another commit, and comes from an agent
 * or where a hub runs. All else ends in the shell. Where Skein cannot be started it passes, with a warning.
 */
export function referenceTransaction(places: ScriptPlaces): string {
  const { own, commonDir, instanceDir, node, launcher, people } = places
  return `#!/bin/sh
${MARK}
own=${shellQuoted(`${own}/reference-transaction`)}
[ -f "$own" ] && [ -x "$own" ] || own=
if [ "$1" != prepared ]; then
  [ -z "$own" ] && exit 0
  exec "$own" "$@"
fi
asked=
look() {
  while read -r old new ref; do
    case $ref in HEAD | main-worktree/HEAD | worktrees/*/HEAD | refs/heads/*) ;; *) continue ;; esac
    [ "$old" = "$new" ] && continue
    case $new in *[!0]*) asked="$asked$old $new $ref
" ;; esac
  done
}
if [ -n "$own" ]; then
  all=$(cat)
  look <<EOF
$all
EOF
else
  look
fi
isAgent=
common=${shellQuoted(commonDir)}
[ -n "$SKEIN_TOKEN_FILE" ] || [ -f "\${GIT_DIR:-$common}/config.worktree" ] && isAgent=1
if [ -n "$asked" ] && { [ -n "$isAgent" ] || ${people ? `[ -f ${shellQuoted(`${instanceDir}/hub.json`)} ]` : "false"}; }; then
  node=${shellQuoted(node)}
  skein=${shellQuoted(launcher)}
  [ -x "$node" ] || node=node
  if [ -f "$skein" ]; then set -- "$node" "$skein"; else set -- skein; fi
  "$@" guard check "$common" ${shellQuoted(instanceDir)} <<EOF
$asked
EOF
  case $? in
  0) ;;
  ${REFUSED}) exit 1 ;;
  *) echo "skein: the guard could not look, and lets this pass. Mend it: skein guard install" >&2 ;;
  esac
fi
[ -z "$own" ] && exit 0
[ -z "$all" ] && exec "$own" prepared </dev/null
printf '%s\\n' "$all" | "$own" prepared
`
}
