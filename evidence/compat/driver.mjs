// The lives of templates and sandboxes as the official TypeScript SDK reports them: the steps of driver.py, word by word.
//
// Run it in a folder where @superserve/sdk is installed. Names are told as Python spells them.

import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const require = createRequire(join(process.cwd(), "from-here.js"))
const { BuildError, Sandbox, Template } = await import(pathToFileURL(require.resolve("@superserve/sdk")).href)

const IMAGE = "debian:12"
const POLL = { pollIntervalMs: 50 }
const UNKNOWN = "00000000-0000-4000-8000-000000000000"

// The same classes have other names in the two languages.
const NAMES = { TimeoutError: "SandboxTimeoutError", Error: "Exception" }

async function step(name, work) {
  let value
  let outcome
  try {
    value = await work()
    outcome = shown(value)
  } catch (error) {
    outcome = { raises: NAMES[error.name] ?? error.name, ...detailsOf(error) }
  }
  process.stdout.write(JSON.stringify({ step: name, outcome }) + "\n")
  return value
}

function detailsOf(error) {
  const details = {}
  if (error.statusCode !== undefined) details.status_code = error.statusCode
  if (error.code !== undefined) details.code = error.code
  if (error instanceof BuildError) {
    details.ids = Boolean(error.buildId && error.templateId)
    details.tells = error.message.includes("exited with code 3")
  }
  return details
}

function shown(value) {
  if (Array.isArray(value)) return value.map(shown)
  if (value?.buildSpecHash !== undefined) {
    return { status: value.status, error_message: value.errorMessage ?? null, ...timesOf(value, BUILD_TIMES) }
  }
  if (value?.exitCode !== undefined) {
    return { exit_code: value.exitCode, stdout: value.stdout, stderr: value.stderr }
  }
  if (value?.commands !== undefined) return { name: value.name, metadata: value.metadata }
  if (value?.vcpuCount !== undefined) {
    return {
      name: value.name,
      vcpu_count: value.vcpuCount,
      memory_mib: value.memoryMib,
      timeout_seconds: value.timeoutSeconds ?? null,
      auto_delete_seconds: value.autoDeleteSeconds ?? null,
      status: value.status,
      metadata: value.metadata,
    }
  }
  if (value?.vcpu !== undefined) {
    return {
      name: value.name,
      status: value.status,
      vcpu: value.vcpu,
      memory_mib: value.memoryMib,
      disk_mib: value.diskMib,
      size_bytes: value.sizeBytes ?? null,
      error_message: value.errorMessage ?? null,
      ...timesOf(value, TEMPLATE_TIMES),
    }
  }
  return value ?? null
}

const TEMPLATE_TIMES = { created_at: "createdAt", built_at: "builtAt" }
const BUILD_TIMES = { created_at: "createdAt", started_at: "startedAt", finalized_at: "finalizedAt" }

function timesOf(value, names) {
  const entries = Object.entries(names).map(([name, own]) => [name, value[own] ? timeOf(value[own]) : null])
  return Object.fromEntries(entries)
}

// A Date is a moment, as a time with a zone is.
function timeOf(time) {
  return time instanceof Date && !Number.isNaN(time.getTime()) ? "aware" : "naive"
}

function create(name, commands = [], options = {}) {
  return Template.create({ name, from: IMAGE, steps: commands.map((run) => ({ run })), ...options })
}

async function logs(template, options = {}) {
  const events = []
  await template.streamBuildLogs({ onEvent: (event) => events.push(event), ...options })
  const last = events[events.length - 1]
  return {
    events: events.length,
    stdout: events.filter((event) => event.stream === "stdout").map((event) => event.text),
    streams: [...new Set(events.map((event) => event.stream))].sort(),
    last: [last.finished, last.status],
    times: events.every((event) => timeOf(event.timestamp) === "aware"),
  }
}

function complain() {
  throw new Error("the callback's own error")
}

const wait = (template, options = {}) => template.waitUntilReady({ ...POLL, ...options })

async function lifeCycle() {
  const template = await step("create", () =>
    Template.create({
      name: "compat",
      from: IMAGE,
      steps: [
        { run: "echo hello; sleep 20" },
        { env: { key: "A", value: "b" } },
        { workdir: "/srv/app" },
        { user: { name: "app", sudo: true } },
      ],
      startCmd: "sleep 1",
      readyCmd: "true",
      vcpu: 2,
      memoryMib: 512,
      diskMib: 2048,
    }),
  )
  await step("create: id of the first build", () => Boolean(template.latestBuildId))
  const texts = []
  await step("wait_until_ready", () => wait(template, { onLog: (event) => texts.push(event.text) }))
  await step("wait_until_ready: on_log", () => texts.includes("hello"))
  await step("get_info", () => template.getInfo())
  await step("connect", () => Template.connect(template.id))
  await step("connect by name", () => Template.connect("compat"))
  await step("connect to an id with a slash", () => Template.connect(`${template.id}/builds`))
  await step("connect to nothing", () => Template.connect(""))
  await step("list", () => Template.list({ namePrefix: "compat" }))
  await step("list: all", async () => (await Template.list()).length)
  await step("stream_build_logs", () => logs(template))
  await step("stream_build_logs: build_id", () => logs(template, { buildId: template.latestBuildId }))
  await step("stream_build_logs: callback raises", () => template.streamBuildLogs({ onEvent: complain }))
  await step("wait_until_ready: callback raises", async () => (await wait(template, { onLog: complain })).status)
  await step("rebuild", () => template.rebuild())
  await step("wait_until_ready: after a rebuild", () => wait(template))
  await step("wait_until_ready: ready already", async () => wait(await Template.connect(template.id)))
  await step("list_builds", () => template.listBuilds())
  await step("list_builds: limit", async () => (await template.listBuilds({ limit: 1 })).length)
  await step("get_build", () => template.getBuild(template.latestBuildId))
  await step("get_build: unknown", () => template.getBuild(UNKNOWN))
  const slow = await create("compat-slow", ["sleep 600"])
  await step("rebuild: in flight already", async () => (await slow.rebuild()).id === slow.latestBuildId)
  await step("delete: while it builds", () => slow.delete())
  await step("cancel_build", () => slow.cancelBuild(slow.latestBuildId))
  await step("cancel_build: get_build", async () => {
    const cancelled = await slow.getBuild(slow.latestBuildId)
    return [cancelled.status, cancelled.errorMessage]
  })
  await step("cancel_build: again", () => slow.cancelBuild(slow.latestBuildId))
  await step("cancel_build: unknown", () => slow.cancelBuild(UNKNOWN))
  await step("cancel_build: wait_until_ready", () => wait(slow))
  await step("delete", () => slow.delete())
  await step("delete: again", () => slow.delete())
  await step("delete: get_info", () => slow.getInfo())
  await step("delete_by_id: unknown", () => Template.deleteById(UNKNOWN))
  await step("delete_by_id", () => Template.deleteById(template.id))
  const failing = await create("compat-failing", ["true", "exit 3"])
  await step("a failed build: wait_until_ready", () => wait(failing))
  await step("a failed build: get_info", () => failing.getInfo())
  await step("a failed build: stream_build_logs", () => logs(failing))
}

async function errors() {
  await create("compat-taken")
  await step("a name in use", () => create("compat-taken"))
  await step("a bad name", () => create("Not A Name"))
  await step("a size out of bounds", () => create("compat-large", [], { vcpu: 9 }))
  const mappings = [{ run: "true" }, { env: { key: "A", value: "b" } }]
  const withSteps = async (steps) => (await create("compat-mappings", [], { steps })).status
  await step("steps as plain mappings", () => withSteps(mappings))
  await step("a step of two kinds", () => withSteps([...mappings, { run: "true", workdir: "/srv" }]))
  await step("a NUL in a command", () => create("compat-nul", ["a\0b"]))
  await step("an unknown template", () => Template.connect(UNKNOWN))
  await step("a wrong key", () => Template.list({ apiKey: "wrong" }))
  const key = process.env.SUPERSERVE_API_KEY
  delete process.env.SUPERSERVE_API_KEY
  await step("no key", () => Template.list())
  process.env.SUPERSERVE_API_KEY = key
  const slow = []
  await step("too many builds", async () => {
    for (let number = 0; number < 8; number++) slow.push(await create(`compat-${number}`, ["sleep 600"]))
  })
  for (const template of slow) await template.cancelBuild(template.latestBuildId)
  const [bare] = await Template.list({ namePrefix: "bare" })
  await step("a template without builds: wait_until_ready", async () => wait(await Template.connect(bare.id)))
  await step("a template without builds: logs", async () => logs(await Template.connect(bare.id)))
  const at = (name, path = "") => ({ apiKey: key, baseUrl: process.env[name] + path })
  await step("an address that isn't the API", () => Template.list(at("SUPERSERVE_BASE_URL", "/elsewhere")))
  await step("a newer server: a status unknown so far", async () => (await Template.list(at("COMPAT_NEWER_URL"))).length)
  const faulty = at("COMPAT_FAULTY_URL")
  await step("503 twice, then an answer", async () => (await Template.list(faulty)).length)
  await step("429 three times", () => Template.connect(UNKNOWN, faulty))
  const cutOff = await create("compat-cut-off", ["echo hello"], faulty)
  await step("a log that is cut off: stream_build_logs", async () => (await logs(cutOff)).last)
  await step("a log that is cut off: wait_until_ready", () => wait(cutOff, { onLog: () => {} }))
  await step("nobody answers the call", () => Template.list(at("COMPAT_REFUSING_URL")))
  await step("no answer within 30 s", () => create("compat-silent", [], at("COMPAT_SILENT_URL")))
}

async function sandboxes() {
  const box = await step("sandbox: create", () =>
    Sandbox.create({ name: "box", envVars: { COLOUR: "blue" }, metadata: { kind: "compat" } }),
  )
  const { commands, files } = box
  await step("sandbox: status", () => box.status)
  await step("sandbox: get_info", () => box.getInfo())
  await step("sandbox: list", () => Sandbox.list({ metadata: { kind: "compat" } }))
  await step("sandbox: connect", async () => (await Sandbox.connect(box.id)).id === box.id)
  await step("run", () => commands.run("echo out; echo err >&2; echo $COLOUR"))
  await step("run: exit code", () => commands.run("exit 42"))
  await step("run: cwd and env", () => commands.run("pwd; echo $A", { cwd: "/tmp", env: { A: "b" } }))
  await step("run: says whether output was cut", async () => (await commands.run("true")).truncated)
  await step("run: timeout", () => commands.run("echo early; sleep 30", { timeoutMs: 1000 }))
  await step("run: an unknown program", async () => (await commands.run("no-such-program")).exitCode)
  await step("run: a folder that is not there", () => commands.run("true", { cwd: "/nowhere" }))
  await step("run: nothing", () => commands.run(""))
  const pieces = []
  const slowly = "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 3"
  await step("run: on_stdout", () => commands.run(slowly, { onStdout: (text) => pieces.push(text) }))
  await step("run: on_stdout: pieces", () => pieces.join(""))
  await step("run: callback raises", () => commands.run("echo x", { onStdout: complain }))
  await spawned(commands)
  await step("files: write and read_text", async () => {
    await files.write("/tmp/deep/er.txt", "ü\n")
    return files.readText("/tmp/deep/er.txt")
  })
  await step("files: bytes", async () => {
    await files.write("/tmp/b", Uint8Array.from({ length: 256 }, (_, number) => number))
    return Array.from(await files.read("/tmp/b")).slice(0, 4)
  })
  await step("files: seen by a command", async () => (await commands.run("cat /tmp/deep/er.txt")).stdout)
  await step("files: none", () => files.read("/tmp/none"))
  await step("files: a relative path", () => files.read("relative"))
  await step("files: a folder as a file", () => files.read("/tmp/deep"))
  await step("files: download_dir", async () => {
    const [first, second] = await files.downloadDir("/tmp/deep")
    return String.fromCharCode(first, second) === "PK"
  })
  await step("update", () => box.update({ metadata: { kind: "compat", more: "yes" } }))
  await step("update: get_info", async () => (await box.getInfo()).metadata)
  await step("update: nothing", () => box.update({}))
  await step("pause", () => box.pause())
  await step("pause: get_info", async () => (await box.getInfo()).status)
  await step("resume", () => box.resume())
  await step("resume: get_info", async () => (await box.getInfo()).status)
  await box.pause()
  await step("run: in a paused sandbox", async () => (await commands.run("echo woken")).stdout)
  await box.pause()
  await step("spawn: in a paused sandbox", async () => {
    return (await (await commands.spawn("echo woken")).wait()).stdout
  })
  await step("preview", () => box.getPreviewUrl(8080).split(box.id).length - 1)
  await step("preview: a port that is taken", () => box.getPreviewUrl(49983))
  await step("kill", () => box.kill())
  await step("kill: again", () => box.kill())
  await step("kill: run", () => commands.run("true"))
  await step("kill: get_info", () => box.getInfo())
  await step("kill_by_id: unknown", () => Sandbox.killById(UNKNOWN))
  await step("sandbox: connect to an unknown one", () => Sandbox.connect(UNKNOWN))
  await step("sandbox: from an unknown template", () => Sandbox.create({ name: "x", fromTemplate: "no" }))
  await step("sandbox: without a name", () => Sandbox.create({ name: "" }))
}

async function spawned(commands) {
  const pieces = []
  const keep = (text) => pieces.push(text)
  const spawn = (command, options = {}) => commands.spawn(command, options)
  const killed = async (...signals) => {
    const session = await spawn("sleep 30")
    session.kill(...signals)
    return (await session.wait()).exitCode
  }
  await step("spawn", async () => {
    const command = "while read line; do echo got $line; done; echo bye >&2; exit 4"
    const session = await spawn(command, { onStdout: keep, onStderr: keep })
    for (const text of ["one\n", new TextEncoder().encode("two\n")]) session.stdin.write(text)
    session.stdin.close()
    return session.wait()
  })
  await step("spawn: callbacks", () => pieces.join("").trimEnd().split("\n").sort())
  await step("spawn: cwd and env", async () => {
    return (await (await spawn("pwd; echo $A", { cwd: "/tmp", env: { A: "b" } })).wait()).stdout
  })
  await step("spawn: kill", () => killed())
  await step("spawn: kill with another signal", () => killed("SIGINT"))
  await step("spawn: close, then wait", async () => {
    const session = await spawn("sleep 30")
    await session.close()
    return session.wait()
  })
  await step("spawn: timeout", async () => (await spawn("sleep 30", { timeoutMs: 1000 })).wait())
  await step("spawn: an unknown program", async () => (await (await spawn("no-such-program")).wait()).exitCode)
  await step("spawn: a folder that is not there", async () => (await spawn("true", { cwd: "/nowhere" })).wait())
  await step("spawn: callback raises", async () => {
    // Nothing but this would keep the error from ending the program.
    const uncaught = new Promise((resolve) => process.once("uncaughtException", () => resolve("ends the program")))
    return Promise.race([uncaught, (await spawn("echo x", { onStdout: complain })).wait()])
  })
}

if (process.env.COMPAT_PART === "sandboxes") {
  await sandboxes()
} else {
  await lifeCycle()
  await errors()
}
