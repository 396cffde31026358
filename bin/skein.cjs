#!/usr/bin/env node
// Written for any Node ever installed (ES5, CommonJS): an old one must reach the sentence at the end, not a syntax error.
"use strict"

var fs = require("fs")
var path = require("path")

var MAIN = path.join(__dirname, "..", "dist", "cli", "main.cjs")

// node:sqlite arrived in 22.5; 22.18 is the first version that Skein is tested on.
function suffices(version) {
  var parts = version.split(".")
  return Number(parts[0]) > 22 || (Number(parts[0]) === 22 && Number(parts[1]) >= 18)
}

/** Path of a newer Node from the npm package `node`, installed with Skein or hoisted above it; null when there is none. */
function findNode() {
  var directory = __dirname
  for (;;) {
    var home = path.join(directory, "node_modules", "node")
    try {
      var version = JSON.parse(fs.readFileSync(path.join(home, "package.json"), "utf8")).version
      var program = path.join(home, "bin", process.platform === "win32" ? "node.exe" : "node")
      if (suffices(version) && fs.existsSync(program)) return program
    } catch (error) {
      // No such package here: look one directory up.
    }
    var parent = path.dirname(directory)
    if (parent === directory) return null
    directory = parent
  }
}

function explain() {
  // npx where Skein is installed alone: elsewhere it would fetch whatever the registry has under this name.
  process.stderr.write(
    "skein: needs Node 22.18 or newer, this is " +
      process.versions.node +
      "\nremedy: Install a newer one, or put one beside Skein, which finds it there: npm install node@24 (with -g where Skein was installed with -g). For one call, in the folder where it is installed: npx -y -p node@24 -p skein skein\n",
  )
  process.exit(1)
}

/** Runs this same command under `program`, hands signals down, and ends as it ends. */
function runUnder(program) {
  process.env.SKEIN_LAUNCHER = String(process.pid)
  var child = require("child_process").spawn(program, [__filename].concat(process.argv.slice(2)), { stdio: "inherit" })
  var signals = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR2"]
  var onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  signals.forEach(function (signal) {
    process.on(signal, function () {
      // Ctrl-C reaches the whole foreground group: handed down as well, the child would count two and stop without tidying up.
      if (onTerminal && (signal === "SIGINT" || signal === "SIGQUIT")) return
      child.kill(signal)
    })
  })
  child.on("error", explain)
  child.on("exit", function (code, signal) {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/**
 * Ends this command when the launcher that runs it was killed, and could hand nothing down: seen by its parent being another. No channel is left to one that
 * begins anew with other options.
 */
function endWithLauncher() {
  var launcher = process.ppid
  if (process.env.SKEIN_LAUNCHER !== String(launcher)) return
  var timer = setInterval(function () {
    if (process.ppid === launcher) return
    clearInterval(timer)
    process.kill(process.pid, "SIGTERM")
  }, 500)
  timer.unref()
}

// node:sqlite says that it is experimental at each start; Skein's users did not choose it and can do nothing about it. That NO_COLOR is ignored where
// FORCE_COLOR is set too is not so here.
function hushWarnings() {
  var emitWarning = process.emitWarning
  process.emitWarning = function (warning, options) {
    var type = options !== null && typeof options === "object" ? options.type : options
    if (type === "ExperimentalWarning" || (warning && warning.name === "ExperimentalWarning")) return
    if (/^The '\w+' env is ignored due to the 'FORCE_COLOR' env/.test(warning)) return
    emitWarning.apply(process, arguments)
  }
}

if (suffices(process.versions.node)) {
  endWithLauncher()
  hushWarnings()
  // Compiled code is kept beside the code (a shared /tmp could be poisoned); where that is read-only Node goes without.
  require("module").enableCompileCache(path.join(__dirname, "..", ".cache", "compile"))
  if (fs.existsSync(MAIN)) require(MAIN)
  else {
    process.stderr.write("skein: dist/ is missing. In a checkout run: npm ci && npm run build\n")
    process.exit(1)
  }
} else {
  var newer = findNode()
  if (newer === null) explain()
  else runUnder(newer)
}
