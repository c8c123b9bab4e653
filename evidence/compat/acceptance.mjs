// What a user demands of the service, end to end, through the official TypeScript SDK: the demands of
// tests/test_acceptance.py, word by word. Run it by `node --test` in a folder where @superserve/sdk is installed.

import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { createRequire } from "node:module"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { pathToFileURL } from "node:url"

const require = createRequire(join(process.cwd(), "from-here.js"))
const { BuildError, ConflictError, Sandbox, Template } = await import(
  pathToFileURL(require.resolve("@superserve/sdk")).href
)

const IMAGE = "python:3.11"
const STEPS = [
  { run: "mkdir -p /srv/app" },
  { workdir: "/srv/app" },
  { env: { key: "GREETING", value: "hello" } },
  { run: 'echo "$GREETING from $(pwd)" > made.txt' },
]
const POLL = { pollIntervalMs: 200 }

const freshName = () => `acceptance-${randomUUID().slice(0, 12)}`

let box
before(async () => {
  box = await Sandbox.create({ name: freshName() })
})
after(() => box.kill())

test("a command gives its output and exit code", async () => {
  const { exitCode, stdout, stderr } = await box.commands.run("echo seen; echo complaint >&2")
  assert.deepEqual([exitCode, stdout, stderr], [0, "seen\n", "complaint\n"])
})

test("a command that fails gives its exit code", async () => {
  assert.equal((await box.commands.run("exit 42")).exitCode, 42)
})

test("output comes while a command runs", async () => {
  const pieces = []
  const command = "for i in 1 2 3; do echo line $i; sleep 0.1; done"
  const { exitCode, stdout } = await box.commands.run(command, { onStdout: (text) => pieces.push(text) })
  assert.equal(pieces.join(""), "line 1\nline 2\nline 3\n")
  assert.ok(pieces.length > 1)
  assert.deepEqual([exitCode, stdout], [0, pieces.join("")])
})

test("a file is read as it was written", async () => {
  await box.files.write("/home/user/round.txt", "there and back\n")
  assert.equal(await box.files.readText("/home/user/round.txt"), "there and back\n")
})

test("a new sandbox is active when it is asked for", async () => {
  const { id, status } = await box.getInfo()
  assert.deepEqual([id, status], [box.id, "active"])
})

test("the list has the sandbox", async () => {
  assert.ok((await Sandbox.list()).some(({ id }) => id === box.id))
})

test("changed metadata is kept", async () => {
  await box.update({ metadata: { owner: "acceptance" } })
  assert.deepEqual((await box.getInfo()).metadata, { owner: "acceptance" })
})

test("a sandbox is paused and resumed at once", async () => {
  await box.commands.run("echo remembered > /tmp/before.txt")
  await box.pause()
  assert.equal((await box.getInfo()).status, "paused")
  await box.resume()
  assert.equal((await box.getInfo()).status, "active")
  assert.equal(await box.files.readText("/tmp/before.txt"), "remembered\n")
})

test("the list has templates of the system", async () => {
  assert.ok((await Template.list()).some(({ name }) => name.startsWith("superserve/")))
})

test("a template is built, used, and kept while it is in use", async () => {
  const events = []
  const sizes = { vcpu: 2, memoryMib: 2048, diskMib: 4096 }
  const template = await Template.create({ name: freshName(), from: IMAGE, steps: STEPS, ...sizes })
  try {
    const info = await template.waitUntilReady({ onLog: (event) => events.push(event), ...POLL })
    assert.equal(info.status, "ready")
    assert.ok(info.builtAt instanceof Date)
    assert.deepEqual([info.vcpu, info.memoryMib, info.diskMib], Object.values(sizes))
    assert.ok(events.length > 0)
    const [first] = await template.listBuilds()
    assert.equal(first.status, "ready")
    assert.equal((await template.rebuild()).buildSpecHash, first.buildSpecHash)
    // This handle knows the first build only.
    await (await Template.connect(template.id)).waitUntilReady(POLL)

    const own = await Sandbox.create({ name: freshName(), fromTemplate: template })
    try {
      const output = async (command) => (await own.commands.run(command)).stdout
      assert.equal(await output("printenv GREETING"), "hello\n")
      assert.equal(await output("pwd"), "/srv/app\n")
      assert.equal(await output("cat /srv/app/made.txt"), "hello from /srv/app\n")
      assert.match(await output("python --version"), new RegExp(`^Python ${process.env.ACCEPTANCE_PYTHON}`))
      await assert.rejects(() => template.delete(), ConflictError)
    } finally {
      await own.kill()
    }
  } finally {
    await template.delete()
  }
})

test("a sandbox has its template's start command running", async () => {
  const url = "http://127.0.0.1:8000/made.txt"
  const get = `python3 -c "import urllib.request as r; print(r.urlopen('${url}').read().decode(), end='')"`
  const template = await Template.create({
    name: freshName(),
    from: IMAGE,
    steps: STEPS,
    startCmd: "python3 -m http.server --bind 127.0.0.1 8000",
    readyCmd: get,
  })
  try {
    await template.waitUntilReady(POLL)
    const own = await Sandbox.create({ name: freshName(), fromTemplate: template })
    try {
      assert.equal((await own.commands.run(get)).stdout, "hello from /srv/app\n")
    } finally {
      await own.kill()
    }
  } finally {
    await template.delete()
  }
})

test("a step that fails is a build error", async () => {
  const template = await Template.create({ name: freshName(), from: IMAGE, steps: [{ run: "false" }] })
  try {
    await assert.rejects(
      () => template.waitUntilReady(POLL),
      (error) => error instanceof BuildError && error.code === "step_failed",
    )
  } finally {
    await template.delete()
  }
})
