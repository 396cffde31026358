import { afterAll, describe, test } from "vitest"
import { DELIVERIES_OF_A_SIZE, delivery, type Mode, newPlace, SIZES, started, tidyTerminals, until, withoutTmux } from "../../../test/terminal/terminals.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

afterAll(tidyTerminals)

const PANES = 6
/** Texts for each kind of reader, spread over its panes; `npm run deliveries` has 200 of each size. */
const TIMES = DELIVERIES_OF_A_SIZE * SIZES.length

function text(bytes: number, number: number): string {
  const head = `#${number} of ${bytes} bytes, `
  const body = "zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich; ".repeat(Math.ceil(bytes / 58))
  let cut = head + body
  while (Buffer.byteLength(cut) > bytes - 1) cut = cut.slice(0, -1)
  return `${cut.trimEnd()}.`
}

describe.skipIf(withoutTmux !== null)("a reader of lines", () => {
  test.concurrent.for<Mode>(["paste", "plain", "readline"])(
    `%s gets ${TIMES} texts of ${SIZES.join(", ")} bytes, none lost, none doubled, none changed, in their order`,
    { timeout: 60_000 + TIMES * 1_000 },
    async (mode, { expect }) => {
      const place = newPlace()
      const agents = Array.from({ length: PANES }, (_, at) => `${mode}-${at}`)
      const panes = await Promise.all(agents.map(async (agent) => ({ agent, address: await started(place, place.launch(agent, mode)) })))
      await Promise.all(
        panes.map(async ({ agent, address }) => {
          const sent: string[] = []
          for (let number = 0; number < TIMES / PANES; number += 1) {
            const one = text(SIZES[number % SIZES.length] ?? 60, number)
            const told = await place.driver.deliver(address, delivery(one, { form: "body", acknowledged: () => place.heard(agent).length > sent.length }))
            expect(told).toMatchObject({ ok: true, handed: true })
            sent.push(one)
            await until("it has come", () => place.heard(agent).length === sent.length)
          }
          expect(place.heard(agent).map((one) => one.text)).toEqual(sent)
        }),
      )
    },
  )
})
