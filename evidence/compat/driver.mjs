// The template life cycle as the official TypeScript SDK reports it: the steps of driver.py, word by word.
//
// Run it in a folder where @superserve/sdk is installed. Names are told as Python spells them.

import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const require = createRequire(join(process.cwd(), "from-here.js"))
const { BuildError, Template } = await import(pathToFileURL(require.resolve("@superserve/sdk")).href)

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
        { run: "echo hello" },
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
  const build = await step("rebuild", () => template.rebuild())
  await step("rebuild: in flight already", async () => (await template.rebuild()).id === build.id)
  await step("wait_until_ready: after a rebuild", () => wait(template))
  await step("wait_until_ready: ready already", async () => wait(await Template.connect(template.id)))
  await step("list_builds", () => template.listBuilds())
  await step("list_builds: limit", async () => (await template.listBuilds({ limit: 1 })).length)
  await step("get_build", () => template.getBuild(template.latestBuildId))
  await step("get_build: unknown", () => template.getBuild(UNKNOWN))
  const slow = await create("compat-slow", ["sleep 600"])
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

await lifeCycle()
await errors()
