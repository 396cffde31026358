import { shellQuoted } from "../repo/shell-word.ts"

export const SHELLS = ["bash", "zsh", "fish"] as const

/** Stands for the names of files. Every other word with an `@` stands for what `skein completion --names WORD` prints. */
export const FILE = "@file"

/**
 * What may stand where, with what it means, by key: `commands PATH`, `options PATH`, `value PATH OPTION` (of every option that takes a value), and
 * `argument PATH N`, N from 0 or `all`. PATH is the words of a command, each after a space.
 */
export type Completions = Map<string, readonly [word: string, means: string][]>

/** A script that defines the completion of `skein` in a shell. It looks into a table of its own, and for names alone asks `skein`. */
export function completionScript(shell: (typeof SHELLS)[number], completions: Completions): string {
  const quoted = shell === "fish" ? fishQuoted : shellQuoted
  // bash shows no meanings.
  const line = ([word, means]: readonly [string, string]): string => quoted(shell === "bash" ? word : `${word}\t${means.replace(/\s+/g, " ")}`)
  const rows = [...completions].map(([key, words]) => ({ key: quoted(key), print: words.length === 0 ? ":" : `printf '%s\\n' ${words.map(line).join(" ")}` }))
  const table =
    shell === "fish"
      ? `function __skein_table\n  switch $argv[1]\n${rows.map(({ key, print }) => `  case ${key}\n    ${print === ":" ? "true" : print}\n`).join("")}  case '*'\n    return 1\n  end\nend\n`
      : `_skein_table() {\n  case "$1" in\n${rows.map(({ key, print }) => `  ${key}) ${print} ;;\n`).join("")}  *) return 1 ;;\n  esac\n}\n`
  return `${{ bash: "# bash completion of skein", zsh: "#compdef skein", fish: "# fish completion of skein" }[shell]}
# Made by skein completion ${shell}
${table}${{ bash: BASH, zsh: ZSH, fish: FISH }[shell]}`
}

const fishQuoted = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`

/**
 * The walk over the words before the cursor, for bash and zsh: which command they name (`route`), how many arguments it has (`count`), and which option waits
 * for its value (`open`); then the candidates, as lines of the table. bash gives the `=` of `--by=tmux` as a word of its own. `where`: which hub is meant.
 */
const WALK = `_skein_lines() {
  local route= open= word count=0 rest= current="$1" line name
  local -a where
  where=()
  shift
  for word in "$@"; do
    case "$open $word" in
      "-w "* | "-C "* | "--workspace "* | "--repo "* | "--url "*) [ "$word" = = ] || where+=("$open" "$word") ;;
      " --workspace="* | " --repo="* | " --url="* | " --global") where+=("$word") ;;
    esac
    if [ -n "$open" ]; then
      [ "$word" = = ] || open=
    elif [ -n "$rest" ]; then
      count=$((count + 1))
    elif [ "$word" = -- ]; then
      rest=1
    elif [ "$word" != "\${word#-}" ]; then
      if _skein_table "value$route $word" >/dev/null || _skein_table "value $word" >/dev/null; then open="$word"; fi
    elif [ "$route" = "" ] && [ "$word" = help ]; then
      :
    elif [ "$count" = 0 ] && _skein_table "options$route $word" >/dev/null; then
      route="$route $word"
    else
      count=$((count + 1))
    fi
  done
  if [ -n "$open" ]; then
    _skein_table "value$route $open" || _skein_table "value $open"
  elif [ -z "$rest" ] && [ "$current" != "\${current#-}" ]; then
    _skein_table "options$route"
  else
    { [ "$count" = 0 ] && [ -z "$rest" ] && _skein_table "commands$route"; } || _skein_table "argument$route $count" || _skein_table "argument$route all"
  fi | while IFS= read -r line; do
    name="\${line%%$'\\t'*}"
    case "$name" in
      ${FILE}) printf '%s\\n' "$line" ;;
      @*) skein completion "\${where[@]}" --names "\${name#@}" 2>/dev/null </dev/null ;;
      *) printf '%s\\n' "$line" ;;
    esac
  done
}
`

const BASH = `${WALK}
_skein() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line
  [ "$current" = = ] && current=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ${FILE} ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    elif [ "$line" != "\${line#"$current"}" ] || [ -z "$current" ]; then
      COMPREPLY+=("$line")
    fi
  done < <(_skein_lines "$current" "\${COMP_WORDS[@]:1:COMP_CWORD-1}")
}
complete -F _skein skein
`

const ZSH = `${WALK}
_skein() {
  local line word files
  local -a found before
  before=("\${(@)words[2,CURRENT-1]}")
  if [[ "$PREFIX" == --*=* ]]; then
    before+=("\${PREFIX%%=*}")
    compset -P '*='
  fi
  while IFS= read -r line; do
    word="\${line%%$'\\t'*}"
    if [[ "$word" == ${FILE} ]]; then files=1; else found+=("\${word//:/\\\\:}:\${line#*$'\\t'}"); fi
  done < <(_skein_lines "$PREFIX" "\${before[@]}")
  if [[ -n "$files" ]]; then _files; else _describe skein found; fi
}
if [ "\${funcstack[1]}" = _skein ]; then _skein "$@"; else compdef _skein skein; fi
`

const FISH = `
function __skein_lines
  set -l route ''
  set -l open ''
  set -l count 0
  set -l rest ''
  set -l current (commandline -ct)
  set -l words (commandline -opc)
  set -l prefix ''
  set -l where
  set -e words[1]
  if string match -qr '^--[^=]+=' -- $current
    set prefix (string replace -r '=.*' '=' -- $current)
    set -a words (string trim -rc = -- $prefix)
    set current (string replace -r '^[^=]*=' '' -- $current)
  end
  for word in $words
    if contains -- "$open" -w -C --workspace --repo --url
      set -a where $open $word
    else if test -z "$open"; and string match -qr -- '^--(workspace|repo|url)=|^--global$' $word
      set -a where $word
    end
    if test -n "$open"
      set open ''
    else if test -n "$rest"
      set count (math $count + 1)
    else if test "$word" = --
      set rest 1
    else if string match -q -- '-*' $word
      if __skein_table "value$route $word" >/dev/null; or __skein_table "value $word" >/dev/null
        set open $word
      end
    else if test -z "$route"; and test "$word" = help
      true
    else if test $count = 0; and __skein_table "options$route $word" >/dev/null
      set route "$route $word"
    else
      set count (math $count + 1)
    end
  end
  set -l lines
  if test -n "$open"
    set lines (__skein_table "value$route $open"; or __skein_table "value $open")
  else if test -z "$rest"; and string match -q -- '-*' $current
    set lines (__skein_table "options$route")
  else
    test $count = 0; and test -z "$rest"; and set lines (__skein_table "commands$route")
    test -n "$lines"; or set lines (__skein_table "argument$route $count"; or __skein_table "argument$route all")
  end
  for line in $lines
    if string match -q -- '${FILE}*' $line
      string replace -r '^' -- $prefix (__fish_complete_path $current)
    else if string match -q -- '@*' $line
      string replace -r '^' -- $prefix (skein completion $where --names (string replace -r '^@(\\w+).*' '$1' -- $line) 2>/dev/null </dev/null)
    else
      echo $prefix$line
    end
  end
end
complete -c skein -f -a '(__skein_lines)'
`
