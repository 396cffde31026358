import type { World } from "./world.ts"

/** What goes wrong, one thing after the other, until it is quiet. */
export async function chaos(world: World): Promise<void> {
  const { clock, chance } = world
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  for (;;) {
    await wait(chance.between(200, 2_500))
    if (world.quiet) return
    misfortune(world)
  }
}

function misfortune(world: World): void {
  const { clock, chance } = world
  const nowMs = clock.monotonicMs()
  switch (chance.below(world.hosts.length === 1 ? 12 : 16)) {
    case 0:
    case 1:
      return world.kill(chance.pick(world.hosts))
    case 2:
      return world.powerCut()
    case 3:
      world.trace("the disk refuses")
      world.disk.refusesUntilMs = nowMs + chance.between(100, 2_500)
      return world.watch.trouble()
    case 4:
      world.trace("the disk is slow")
      world.disk.slowUntilMs = nowMs + chance.between(200, 2_000)
      return world.watch.trouble()
    case 5:
      world.trace("a sync says nothing")
      world.disk.loseNext = { lost: chance.happens(0.5) ? "written" : "not_written" }
      return world.watch.trouble()
    case 6:
      return jump(world, chance.pick([-3_600_000, -5_000, 700, 4_000, 60_000]))
    case 7:
    case 8:
      world.weather = chance.pick([
        { drop: 0.05, duplicate: 0.1, slow: 0.02 },
        { drop: 0.3, duplicate: 0, slow: 0.1 },
        { drop: 0, duplicate: 0.5, slow: 0.3 },
        { drop: 0.9, duplicate: 0, slow: 0 },
        { drop: 0, duplicate: 0, slow: 0 },
      ])
      return world.watch.trouble()
    case 9: {
      const host = chance.pick(world.hosts)
      world.trace(`hub ${host.index} is stopped`)
      world.watch.trouble()
      const { clock: stopped } = host
      stopped.stop()
      clock.after(chance.between(50, 4_000), () => {
        world.watch.trouble()
        stopped.go()
      })
      return
    }
    case 12:
    case 13:
    case 14:
    case 15: {
      const agent = chance.pick(world.agents)
      world.trace(`${agent.name} moves`)
      return agent.move()
    }
    default: {
      const agent = chance.pick(world.agents)
      world.trace(`${agent.name} dies`)
      agent.die()
      clock.after(chance.between(100, 5_000), () => void agent.live())
    }
  }
}

/** In some teams the clock is so far ahead at the next start that nobody seems to have been heard of for long. */
function jump(world: World, byMs: number): void {
  if (world.seed % 9 !== 5 || byMs < 0) return world.clock.jumpWall(byMs)
  world.clock.jumpWall(byMs > 1_000 ? 2_000_000 : 1_000_000)
  world.kill(world.hosts[0] as World["hosts"][number])
}
