import fc from "fast-check"
import { expect, test } from "vitest"
import { patchedPaths, writtenPaths } from "./hook-shell.ts"

test.each([
  ["sed -i s/one/three/ a.txt", ["a.txt"]],
  ["sed -i.bak -e s/one/two/ src/a.ts src/b.ts", ["src/a.ts", "src/b.ts"]],
  ["sed -n 1,5p a.txt", []],
  ["echo hi > out.txt", ["out.txt"]],
  ["echo hi>>'my file.txt' 2>/dev/null", ["my file.txt"]],
  ["npm test 2>&1 | tee log.txt", ["log.txt"]],
  ["cat a.txt b.txt", []],
  ["cd src && rm -f old.ts; mv a.ts b.ts", ["old.ts", "a.ts/", "b.ts"]],
  // As it stands: what the shell makes of it nobody knows before it runs.
  ["rm src/*.ts $OLD", ["src/*.ts", "$OLD"]],
  ["rm -rf dist src/", ["dist/", "src/"]],
  ["mv src lib/", ["src/", "lib"]],
  ["cp -r src lib/", ["lib"]],
  ["git rm -rq src", ["src/"]],
  ["git mv a b src/", ["a/", "b/", "src"]],
  ["git restore --staged src", ["src/"]],
  ["git checkout docs", ["docs"]],
  ["cp a.ts b.ts", ["b.ts"]],
  ["git checkout main -- src/a.ts", ["src/a.ts/"]],
  ["FORCE=1 sudo touch x", ["x"]],
  ["perl -pi -e 's/a/b/' x.pl", ["x.pl"]],
  ["dd if=/dev/zero of=disk.img", ["disk.img"]],
  ["grep '>' a.txt", []],
  ["cat > new.ts <<'EOF'\nrm important.ts\nEOF", ["new.ts"]],
  ["(printf x >| forced)", ["forced"]],
  ["apply_patch <<'EOP'\n*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n+two\n*** End Patch\nEOP", ["a.txt"]],
])("%s writes %j", (command, paths) => {
  expect(writtenPaths(command)).toEqual(paths)
})

test("a patch names what it adds, changes, deletes and moves to", () => {
  const patch =
    "*** Begin Patch\n*** Add File: a\n+x\n*** Update File: dir/b c\n*** Move to: d\n@@\n-x\n+*** Update File: not this\n*** Delete File: e\r\n*** End Patch"
  expect(patchedPaths(patch)).toEqual(["a", "dir/b c", "d", "e"])
})

test("any text at all is read, in time that grows with its length", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab '\"\\;|&<>()$\n=-/".split("")), maxLength: 400, size: "max" }), (text) => {
      expect(writtenPaths(text).length).toBeLessThanOrEqual(64)
    }),
    { seed: 20261121, numRuns: 2_000 },
  )
  const startedMs = performance.now()
  for (const piece of ["'", '"', "\\", "a", "> ", "<<A\n", "*** Update File: x\n", "(("]) writtenPaths(piece.repeat(50_000))
  expect(performance.now() - startedMs).toBeLessThan(3_000)
})
