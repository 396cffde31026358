import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { json, newRepository, skein, tidyUp } from "./cli-driver.ts"

afterAll(tidyUp)

let repository = ""
const as = (name: string): Record<string, string> => ({ SKEIN_TOKEN_FILE: join(repository, ".skein", "agents", `${name}.credential`) })
beforeAll(async () => {
  repository = newRepository()
  await json(repository, ["up"])
  for (const name of ["goose", "heron"]) await json(repository, ["agent", "add", name])
  await json(repository, ["thread", "create", "Login", "--id", "login", "--with", "heron"], as("goose"))
})

test("a message with control sequences is kept to the byte, and shown to people as escapes", async () => {
  const body = "red \u001b[31malert\u0007\r\nsecond\u202e line"
  await json(repository, ["thread", "post", "login", body], as("goose"))
  expect(await json(repository, ["thread", "read", "login", "--since", "0"], as("heron"))).toMatchObject([{ message: 1, sender: "goose", body }])
  for (const verb of [
    ["read", "login", "--since", "0"],
    ["summarize", "login"],
    ["search", "ALERT"],
  ]) {
    const { status, stdout } = await skein(repository, ["thread", ...verb], as("heron"))
    expect([status, stdout]).toEqual([0, expect.stringContaining("\\x1b[31malert")])
    expect(stdout).not.toMatch(/[\u001b\u0007\u202e\r]/u)
  }
})

test("what is unread is read once, and a cursor that goes wrong is refused with where it stands", async () => {
  await json(repository, ["thread", "post", "login", "one more"], as("goose"))
  const unread = (name: string): Promise<Record<string, unknown>[]> => json(repository, ["thread", "unread"], as(name))
  expect(await unread("goose")).toEqual([])
  const [row] = await unread("heron")
  expect(row).toMatchObject({ thread: "login" })
  const read = await json(repository, ["thread", "read", "login", "--ack"], as("heron"))
  expect(read.length).toBe(row?.["unread"])
  expect(await unread("heron")).toEqual([])
  expect(await skein(repository, ["thread", "ack", "login", "99"], as("heron"))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("not 99") as string,
  })
  expect(await skein(repository, ["thread", "ack", "login", "0"], as("heron"))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("never goes back") as string,
  })
})

test("whoever looks into an inbox is told of unread messages too, which are not in it", async () => {
  expect((await skein(repository, ["inbox"], as("goose"))).stdout).toBe("nothing waits for your acknowledgement\n")
  await json(repository, ["thread", "post", "agent/goose", "word for you"])
  expect((await skein(repository, ["inbox"], as("goose"))).stdout).toBe(
    "nothing waits for your acknowledgement\nunread messages: 1; skein thread unread lists them\n",
  )
})

test("a disputed thread is closed by the operator alone, with a reason that is shown", async () => {
  await json(repository, ["thread", "status", "login", "blocked", "--reason", "we disagree"], as("heron"))
  for (const name of ["goose", "heron"])
    expect(await skein(repository, ["thread", "status", "login", "closed", "--reason", "enough"], as(name))).toMatchObject({ status: 1 })
  await json(repository, ["thread", "status", "login", "closed", "--reason", "decided elsewhere"])
  expect((await skein(repository, ["thread", "show", "login"])).stdout).toContain("operator: decided elsewhere")
  expect(await skein(repository, ["thread", "post", "login", "but"], as("goose"))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("closed") as string,
  })
  expect(await json(repository, ["thread", "list", "--status", "closed"])).toMatchObject([{ id: "login", groups: [], participants: ["goose", "heron"] }])
})
