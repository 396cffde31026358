import type { Checkout } from "./guard-rig.ts"

/** One thing that people and agents do with git. All act as goose, while heron holds `held/**`. */
export type Situation = {
  name: string
  /** Before the guard is there. */
  before?: (checkout: Checkout) => void
  /** A shell command line; ends as its last git command does. A function is given the checkout. */
  act: string | ((checkout: Checkout) => string)
  /** Where git moves files before it asks whether it may, the command by which it takes that back. */
  takeBack?: string
  /** Of what is stopped: the file that is named. */
  file?: string
}

const EDIT = "echo goose > held/a.txt"

export const STOPPED: readonly Situation[] = [
  { name: "commit", act: `${EDIT}; git commit -qam x`, file: "held/a.txt" },
  { name: "commit --no-verify", act: `${EDIT}; git commit -q --no-verify -am x`, file: "held/a.txt" },
  { name: "a shell edit, staged with all else", act: "sed -i s/one/1/ held/b.txt free/c.txt; git add -A; git commit -qm x", file: "held/b.txt" },
  { name: "commit --only", act: `${EDIT}; git commit -qm x --only held/a.txt`, file: "held/a.txt" },
  { name: "a new file under the glob", act: "mkdir -p held/new; echo n > held/new/n.txt; git add .; git commit -qm x", file: "held/new/n.txt" },
  { name: "deletion", act: "git rm -q held/b.txt; git commit -qm x", file: "held/b.txt" },
  { name: "rename out of it", act: "git mv held/b.txt free/b.txt; git commit -qm x", file: "held/b.txt" },
  { name: "rename into it", act: "git mv free/c.txt held/c.txt; git commit -qm x", file: "held/c.txt" },
  { name: "a mode", act: "chmod +x held/a.txt; git commit -qam x", file: "held/a.txt" },
  { name: "a file that becomes a link", act: "ln -sf ../free/c.txt held/a.txt; git commit -qam x", file: "held/a.txt" },
  {
    name: "index alone (update-index --cacheinfo)",
    act: "git update-index --cacheinfo 100644,$(git rev-parse HEAD:free/c.txt),held/a.txt; git commit -qm x",
    file: "held/a.txt",
  },
  {
    name: "a name beside it that no checkout can have",
    act: 'b=$(git rev-parse HEAD:free/c.txt) && h=$(printf "100644 blob $b\\ta.txt\\n" | git mktree) && t=$(printf "100644 blob $b\\t..\\n040000 tree $h\\theld\\n" | git mktree) && git update-ref refs/heads/main $(git commit-tree $t -p HEAD -m x)',
    file: "held/a.txt",
  },
  { name: "commit --amend with more", act: `${EDIT}; git add .; git commit -q --amend --no-edit`, file: "held/a.txt" },
  {
    name: "commit --amend that moves a held file away",
    before: onlyHere,
    act: "git mv held/a.txt free/a.txt; git commit -q --amend --no-edit",
    file: "held/a.txt",
  },
  {
    name: "commit --amend that takes a held change out",
    before: onlyHere,
    act: "git checkout -q HEAD~1 -- held/a.txt; git commit -q --amend --allow-empty --no-edit",
    file: "held/a.txt",
  },
  {
    name: "detached HEAD",
    act: `git checkout -q --detach; ${EDIT}; git commit -qam x`,
    file: "held/a.txt",
  },
  { name: "cherry-pick", act: "git cherry-pick heron", takeBack: "git cherry-pick --abort", file: "held/a.txt" },
  {
    name: "revert",
    before: (at) => at.plain("merge", "-q", "--ff-only", "heron"),
    act: "git revert --no-edit HEAD",
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "rebase of a commit on a held file",
    before: (at) => {
      at.plain("checkout", "-q", "-b", "topic")
      at.write("held/b.txt", "goose, before heron held it\n")
      at.plain("commit", "-qam", "early")
      at.plain("checkout", "-q", "main")
      at.write("free/d.txt", "main went on\n")
      at.plain("commit", "-qam", "on")
      at.plain("checkout", "-q", "topic")
    },
    act: "git rebase -q main",
    takeBack: "git rebase --abort",
    file: "held/b.txt",
  },
  {
    name: "pull --rebase of such a commit",
    before: (at) => {
      at.plain("clone", "-q", ".", "../theirs")
      const theirs = at.at(at.path("../theirs"))
      theirs.write("free/d.txt", "theirs\n")
      theirs.plain("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qam", "theirs")
      at.plain("remote", "add", "origin", theirs.folder)
      at.write("held/b.txt", "goose, before heron held it\n")
      at.plain("commit", "-qam", "early")
    },
    act: "git pull -q --rebase origin main",
    takeBack: "git rebase --abort",
    file: "held/b.txt",
  },
  {
    name: "a merge whose conflict is resolved in a held file",
    before: (at) => {
      at.write("held/a.txt", "goose, before heron held it\n")
      at.plain("commit", "-qam", "early")
    },
    act: "git merge -q heron || true; echo both > held/a.txt; git add .; git commit -qm merged",
    takeBack: "git merge --abort",
    file: "held/a.txt",
  },
  {
    name: "a merge that throws a held change away (-s ours)",
    before: (at) => {
      at.write("free/c.txt", "goose\n")
      at.plain("commit", "-qam", "mine")
    },
    act: "git merge -q -s ours -m x heron",
    takeBack: "git merge --abort",
    file: "held/a.txt",
  },
  {
    name: "a merge of three that throws a held change away (-s ours)",
    before: twoMore,
    act: "git merge -q -s ours -m x one heron",
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "a merge of three that takes the first parent's held change back",
    before: (at) => {
      twoMore(at)
      at.plain("checkout", "-q", "-B", "main", "heron")
      at.plain("branch", "-q", "-D", "heron")
    },
    act: "git update-ref refs/heads/main $(git commit-tree one^{tree} -p HEAD -p one -p two -m x)",
    file: "held/a.txt",
  },
  {
    name: "a clean merge with an edit slipped in",
    before: (at) => {
      at.write("free/c.txt", "goose\n")
      at.plain("commit", "-qam", "mine")
    },
    act: "git merge -q --no-commit --no-ff heron; echo slipped > held/b.txt; git add .; git commit -qm x",
    takeBack: "git merge --abort",
    file: "held/b.txt",
  },
  {
    name: "merge --squash",
    act: "git merge -q --squash heron; git commit -qm x",
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "am",
    act: "git format-patch -q -1 --stdout heron > ../patch; git am -q ../patch",
    takeBack: "git am --abort",
    file: "held/a.txt",
  },
  { name: "apply --index", act: "git diff main heron > ../diff; git apply --index ../diff; git commit -qm x", file: "held/a.txt" },
  { name: "update-ref", act: (at) => `git update-ref refs/heads/main ${at.unseen("held/a.txt", "u\n")}`, file: "held/a.txt" },
  { name: "update-ref of HEAD", act: (at) => `git update-ref HEAD ${at.unseen("held/a.txt", "u\n")}`, file: "held/a.txt" },
  { name: "branch -f", before: (at) => at.plain("branch", "other"), act: (at) => `git branch -f other ${at.unseen("held/a.txt", "u\n")}`, file: "held/a.txt" },
  { name: "a new branch on a commit that nobody looked at", act: (at) => `git branch fresh ${at.unseen("held/a.txt", "u\n")}`, file: "held/a.txt" },
  {
    name: "a tag on such a commit, and a fast-forward to it",
    act: (at) => `git tag t ${at.unseen("held/a.txt", "u\n")}; git merge -q --ff-only t`,
    takeBack: "git tag -d t; git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "checkout --detach of such a commit",
    act: (at) => `git checkout -q --detach ${at.unseen("held/a.txt", "u\n")}`,
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "update-ref of another worktree's HEAD",
    before: (at) => at.plain("worktree", "add", "-q", "--detach", "../tree"),
    act: (at) => `git update-ref worktrees/tree/HEAD ${at.unseen("held/a.txt", "u\n")}`,
    file: "held/a.txt",
  },
  {
    name: "update-ref of the main worktree's HEAD from another",
    before: (at) => {
      at.plain("worktree", "add", "-q", "--detach", "../tree")
      at.plain("checkout", "-q", "--detach")
    },
    act: (at) => `git -C ../tree update-ref main-worktree/HEAD ${at.unseen("held/a.txt", "u\n")}`,
    file: "held/a.txt",
  },
  {
    name: "reset that drops a held change from its only branch",
    before: onlyHere,
    act: "git reset -q --soft HEAD~1",
    file: "held/a.txt",
  },
  {
    name: "reset --hard of the same",
    before: onlyHere,
    act: "git reset -q --hard HEAD~1",
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "fetch into a branch from a clone without a guard",
    before: (at) => foreignCommit(at),
    act: "git fetch -q ../theirs main:main2",
    file: "held/a.txt",
  },
  {
    name: "pull from a clone without a guard",
    before: (at) => foreignCommit(at),
    act: "git pull -q --ff-only ../theirs main",
    takeBack: "git reset -q --hard",
    file: "held/a.txt",
  },
  {
    name: "push into the guarded repository",
    before: (at) => foreignCommit(at),
    act: (at) => `git -C ../theirs push -q ${JSON.stringify(at.folder)} main:pushed`,
    file: "held/a.txt",
  },
  {
    name: "a submodule's commit",
    before: (at) => {
      at.plain("clone", "-q", ".", "../lib")
      at.plain("-c", "protocol.file.allow=always", "submodule", "add", "-q", at.path("../lib"), "held/lib")
      at.plain("commit", "-qam", "lib")
      at.plain("-C", "held/lib", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "more")
    },
    act: "git commit -qam bump",
    file: "held/lib",
  },
  {
    name: "stash pop, and a commit of it",
    act: `${EDIT}; git stash -q; git stash pop -q; git commit -qam x`,
    file: "held/a.txt",
  },
  {
    name: "fast-import",
    act: `printf 'commit refs/heads/main\\ncommitter T <t@example.org> 1700000000 +0000\\ndata 1\\nx\\nfrom refs/heads/main^0\\nM 644 inline held/a.txt\\ndata 2\\nz\\n\\n' | git fast-import --quiet`,
    file: "held/a.txt",
  },
  { name: "many files at once", act: "for n in $(seq 30); do echo $n > held/n$n.txt; done; git add .; git commit -qm x", file: "22 more files" },
]

export const PASSES: readonly Situation[] = [
  { name: "commit of a free file", act: "echo goose > free/c.txt; git commit -qam x" },
  { name: "a partial commit that leaves the held file out", act: `${EDIT}; echo goose > free/c.txt; git commit -qm x --only free/c.txt` },
  { name: "a name that begins like the glob", act: "mkdir heldback; echo x > heldback/a.txt; git add .; git commit -qm x" },
  { name: "a name that can be no path of a lease", act: String.raw`echo x > '\back'; git add .; git commit -qm x` },
  { name: "an empty commit", act: "git commit -q --allow-empty -m x" },
  {
    name: "commit --amend of the message of a held change",
    before: (at) => at.plain("checkout", "-q", "heron"),
    act: "git commit -q --amend -m 'other words'",
  },
  { name: "fast-forward to what heron did", act: "git merge -q --ff-only heron" },
  {
    name: "a merge of what heron did",
    before: (at) => {
      at.write("free/c.txt", "goose\n")
      at.plain("commit", "-qam", "mine")
    },
    act: "git merge -q -m merged heron",
  },
  {
    name: "a merge of three",
    before: twoMore,
    act: "git merge -q -m octopus one heron",
  },
  {
    name: "rebase onto what heron did",
    before: (at) => {
      at.write("free/c.txt", "goose\n")
      at.plain("commit", "-qam", "mine")
      at.write("free/d.txt", "goose\n")
      at.plain("commit", "-qam", "mine too")
    },
    act: "git rebase -q heron",
  },
  { name: "cherry-pick and revert of a free file", act: "echo goose > free/c.txt; git commit -qam x; git revert --no-edit HEAD; git cherry-pick HEAD~1" },
  { name: "stash of a held file, and back", act: `${EDIT}; git stash -q; git stash pop -q` },
  { name: "branches", act: "git branch one; git checkout -q -b two; git branch -m two three; git branch -f one heron; git branch -D one" },
  { name: "checkout to and fro", act: "git checkout -q heron; git checkout -q --detach main; git checkout -q main; git switch -q -c four heron" },
  {
    name: "checkout away from what no branch holds any more",
    before: (at) => {
      at.plain("checkout", "-q", "--detach", "heron")
      at.plain("branch", "-q", "-D", "heron")
    },
    act: "git checkout -q --detach main",
  },
  { name: "tags and notes", act: "git tag -a -m x v1; git notes add -m x" },
  { name: "reset of one's own", act: "echo goose > free/c.txt; git commit -qam x; git reset -q --hard HEAD~1; git reset -q" },
  {
    name: "reset past a held change that another branch holds",
    before: (at) => at.plain("merge", "-q", "--ff-only", "heron"),
    act: "git reset -q --hard HEAD~1",
  },
  { name: "gc and pack-refs", act: "git pack-refs --all; git gc -q --prune=now; echo goose > free/c.txt; git commit -qam x" },
  {
    name: "fetch, pull and push",
    before: (at) => {
      at.plain("clone", "-q", "--bare", ".", "../origin.git")
      at.plain("remote", "add", "origin", at.path("../origin.git"))
    },
    act: "git fetch -q; git pull -q --ff-only origin heron; echo goose > free/c.txt; git commit -qam x; git push -q origin main",
  },
  {
    name: "a worktree more",
    act: "git worktree add -q ../tree -b tree; cd ../tree; echo goose > free/c.txt; git commit -qam x; cd -; git worktree remove ../tree",
  },
  { name: "bisect", act: "git bisect start -q heron main 2>/dev/null; git bisect reset" },
  {
    name: "an index that another git had locked",
    act: "touch .git/index.lock; echo goose > free/c.txt; ! git commit -qam x 2>/dev/null; rm .git/index.lock; git commit -qam x",
  },
  { name: "the held file as it was", act: `${EDIT}; git checkout -q HEAD -- held/a.txt; git commit -q --allow-empty -m x` },
  {
    name: "an orphan branch",
    act: "git checkout -q --orphan new; git rm -rq --cached held; echo goose > free/c.txt; git add free; git commit -qm x; git checkout -qf main",
  },
]

function foreignCommit(at: Checkout): void {
  at.plain("clone", "-q", ".", "../theirs")
  const theirs = at.at(at.path("../theirs"))
  theirs.write("held/a.txt", "elsewhere\n")
  theirs.plain("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qam", "elsewhere")
}

/** Two branches more from main, each with a file of its own; the last stays checked out. */
function twoMore(at: Checkout): void {
  for (const name of ["one", "two"]) {
    at.plain("checkout", "-q", "-b", name, "main")
    at.write(`free/${name}.txt`, name)
    at.plain("add", ".")
    at.plain("commit", "-qm", name)
  }
}

/** main has what heron did, and nothing else has it any more. */
function onlyHere(at: Checkout): void {
  at.plain("merge", "-q", "--ff-only", "heron")
  at.plain("branch", "-q", "-D", "heron")
}
