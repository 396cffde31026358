import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { repositoryPath } from "./path.ts"

const root = realpathSync(mkdtempSync(join(tmpdir(), "paths-")))
const top = join(root, "repo")
mkdirSync(join(top, "src"), { recursive: true })
writeFileSync(join(top, "src", "a.ts"), "")
symlinkSync("src", join(top, "link"))
symlinkSync(root, join(top, "out"))
symlinkSync(join(top, "src", "a.ts"), join(top, "alias.ts"))
// To what does not exist yet: whoever writes through them makes it.
symlinkSync("../src/later.ts", join(top, "src", "soon.ts"))
symlinkSync("link/soon.ts", join(top, "sooner.ts"))
symlinkSync(join(root, "nowhere"), join(top, "gone"))
symlinkSync(top, join(root, "by-another-name"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

test.each([
  ["src/a.ts", ".", "src/a.ts"],
  ["a.ts", "src", "src/a.ts"],
  ["../src/./a.ts", "src", "src/a.ts"],
  ["new/deep/file.ts", ".", "new/deep/file.ts"],
  ["link/new.ts", ".", "src/new.ts"],
  ["alias.ts", ".", "src/a.ts"],
  ["link/soon.ts", ".", "src/later.ts"],
  ["sooner.ts", ".", "src/later.ts"],
  [join(root, "by-another-name", "src", "a.ts"), ".", "src/a.ts"],
])("%s seen from %s is %s", (given, cwd, path) => {
  expect(repositoryPath(top, join(top, cwd), given)).toBe(path)
})

test.each(["../x", "/etc/passwd", "out/x", "out/new/x", "gone", "gone/x", ".", ".."])("%s leads out of the repository", (given) => {
  expect(() => repositoryPath(top, top, given)).toThrow(expect.objectContaining({ code: "outside_repository" }) as Error)
})
