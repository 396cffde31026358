import { expect, test } from "vitest"
import { SoundLines } from "./mcp-lines.ts"

type Refusal = { id: unknown; error: { code: number; message: string } }

/** What of these bytes is handed on, and what is answered. */
async function through(...chunks: (string | Buffer)[]): Promise<{ passed: string[]; refused: Refusal[] }> {
  const refused: Refusal[] = []
  const lines = new SoundLines((answer) => refused.push(JSON.parse(answer) as Refusal))
  for (const chunk of chunks) lines.write(chunk)
  lines.end()
  let text = ""
  for await (const some of lines) text += String(some)
  return { passed: text.split(/(?<=\n)/).filter((line) => line !== ""), refused }
}

const ping = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, method: "ping" })

test("messages pass as they are, however they are cut, the last one without its end too", async () => {
  const text = `${ping(1)}\r\n\n${ping("ä")}\n${ping(3)}`
  const bytes = [...Buffer.from(text)].map((byte) => Buffer.from([byte]))
  expect(await through(...bytes)).toEqual({ passed: [`${ping(1)}\n`, `${ping("ä")}\n`, `${ping(3)}\n`], refused: [] })
})

test("what is no message is answered with what is wrong, and the next one is read", async () => {
  const deep = `${"[".repeat(70)}${"]".repeat(70)}`
  const wrong = [
    "x",
    "[]",
    "7",
    '{"id":1}',
    ping(1.5),
    ping(null),
    `{"jsonrpc":"2.0","id":5,"method":"m","params":{"a":${deep}}}`,
    '{"jsonrpc":"2.0","id":"p","method":"m","params":{"_meta":{"progressToken":{}}}}',
  ]
  const { passed, refused } = await through([...wrong, ping("last")].join("\n"))
  expect(passed).toEqual([`${ping("last")}\n`])
  expect(refused.map(({ id, error: { code } }) => [id, code])).toEqual([
    [null, -32_700],
    [null, -32_600],
    [null, -32_600],
    [1, -32_600],
    [null, -32_600],
    [null, -32_600],
    [5, -32_600],
    ["p", -32_600],
  ])
})

test("a line without end is not kept in memory, and answered once where it ends", async () => {
  const block = Buffer.alloc(2 ** 20, "x")
  const { passed, refused } = await through(...Array.from({ length: 12 }, () => block), "\n", `${ping(1)}\n`)
  expect(passed).toEqual([`${ping(1)}\n`])
  expect(refused).toMatchObject([{ id: null, error: { code: -32_600, message: expect.stringContaining("4194304 bytes") } }])
})
