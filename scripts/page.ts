/** Builds the web page: bundles `src/dashboard/` into `dist/dashboard/`, each file named by what is in it and compressed ahead of time. */
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

const ENTRY = "src/dashboard/main.tsx"
/** In the order in which they count: of two rules that are alike the later one. */
const STYLES = [
  "src/dashboard/style.css",
  "src/dashboard/views/flight.css",
  "src/dashboard/dialog.css",
  "src/dashboard/views/pair.css",
  "src/dashboard/touch.css",
  "src/dashboard/time.css",
  "src/dashboard/views/plan.css",
  "src/dashboard/wide.css",
  "node_modules/uplot/dist/uPlot.min.css",
]
const OUT = "dist/dashboard"

/** Packages of which the page may hold code. */
const PACKAGES: readonly string[] = ["preact", "@preact/signals", "@preact/signals-core", "uplot", "@dagrejs/dagre", "@dagrejs/graphlib"]

/** What a change of must make a new page, besides the sources. */
export const IN_PAGE = ["node_modules/uplot/package.json", "node_modules/preact/package.json", "node_modules/@preact/signals/package.json"]

/** Makes the page. The answer is the modules that went into it, for the notices of their licences. */
export async function buildPage(): Promise<string[]> {
  rmSync(OUT, { recursive: true, force: true })
  const build = await rolldown({
    input: { main: ENTRY },
    platform: "browser",
    tsconfig: "src/dashboard/tsconfig.json",
    // What WebKit calls the language of a system without one ("C") is none that uPlot can write numbers in; the page writes them itself.
    plugins: [{ name: "uplot", transform: { filter: { id: /uPlot\.esm\.js$/ }, handler: (code) => code.replace("nav.language", '"en"') } }],
    transform: { define: { "process.env.NODE_ENV": '"production"' } },
    onLog(level, { message }) {
      if (level === "warn") throw new Error(message)
    },
  })
  try {
    const { output } = await build.generate({
      format: "esm",
      // What the page begins with is one file: by itself the bundler makes one of each set of modules that some view has in common with it, twenty in all.
      codeSplitting: { groups: [{ name: "first", test: /src\/dashboard\/main\.tsx$/ }] },
      minify: true,
      entryFileNames: "assets/[name]-[hash].js",
      chunkFileNames: "assets/[name]-[hash].js",
    })
    const modules: string[] = []
    let main = ""
    let needed: readonly string[] = []
    for (const chunk of output) {
      if (chunk.type !== "chunk") throw new Error(`${chunk.fileName} is no script: the page loads scripts and one style`)
      const strange = [...chunk.imports, ...chunk.dynamicImports].filter((name) => !name.startsWith("assets/"))
      if (strange.length > 0) throw new Error(`${chunk.fileName} needs what the page does not have: ${strange.join(", ")}`)
      if (chunk.isEntry) {
        main = chunk.fileName
        needed = chunk.imports
      }
      modules.push(...Object.keys(chunk.modules).map(known))
      write(chunk.fileName, chunk.code)
    }
    const style = STYLES.map((file) => readFileSync(file, "utf8")).join("\n")
    const styleName = `assets/style-${createHash("sha256").update(style).digest("base64url").slice(0, 8)}.css`
    write(styleName, style)
    write("index.html", indexHtml(main, needed, styleName))
    return modules
  } finally {
    await build.close()
  }
}

/** A module that may be in a page. What a browser need not have (schemas, say) comes in by one careless import, and weighs more than the page. */
function known(module: string): string {
  const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1]
  if (name === undefined || PACKAGES.includes(name)) return module
  throw new Error(`the page would hold ${name}: import only types from what needs it, or allow it in scripts/page.ts`)
}

function indexHtml(script: string, needed: readonly string[], style: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Skein</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 12 8 4l7 8' fill='none' stroke='%230a7cd6' stroke-width='2.4'/%3E%3C/svg%3E">
<link rel="stylesheet" href="/${style}">
<script type="module" src="/${script}"></script>
${needed.map((name) => `<link rel="modulepreload" href="/${name}">`).join("\n")}
</head>
<body><div id="page"><noscript>This page is a program: it needs JavaScript. <a href="/api">/api</a> does not.</noscript></div></body>
</html>
`
}

function write(name: string, text: string): void {
  const path = join(OUT, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  writeFileSync(`${path}.br`, brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
  writeFileSync(`${path}.gz`, gzipSync(text, { level: 9 }))
}
