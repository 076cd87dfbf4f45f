// Drives one Chromium: one JSON command per line on stdin, one JSON answer per line on stdout, in any order, matched by `id`.
// Started as `node driver.mjs '{"executable": PATH, "args": [...]}'`; prints {"ready": VERSION} first and ends with stdin.
//
// A command is {id, do, tab?, ...}; an answer is {id, value} or {id, error}. Every tab lives in a browser context of its own,
// so that it has the cookies and the storage of a visitor who has never been here.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { executable, args } = JSON.parse(process.argv[2]);
const browser = await chromium.launch({ executablePath: executable, headless: true, args });
const tabs = new Map();
let opened = 0;

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

// The SDK sends from a worker. What the browser itself has to say about a worker's requests (a refused preflight, above
// all) stands in the developer tools' console, but only a session with the worker hears of it.
async function followWorkerLogs({ context, page, console }) {
  const session = await context.newCDPSession(page);
  session.on("Target.attachedToTarget", ({ sessionId }) => {
    const message = JSON.stringify({ id: 1, method: "Log.enable" });
    session.send("Target.sendMessageToTarget", { sessionId, message }).catch(() => {});
  });
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { method, params } = JSON.parse(message);
    if (method === "Log.entryAdded") console.push(params.entry.text);
  });
  await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
}

async function newTab() {
  const context = await browser.newContext();
  const tab = { context, console: [], answers: [], failures: [] };
  context.on("console", (message) => tab.console.push(message.text()));
  context.on("response", (answer) => {
    tab.answers.push({ method: answer.request().method(), url: answer.url(), status: answer.status() });
  });
  context.on("requestfailed", async (request) => {
    // An answer whose body the SDK does not care to read counts as failed too; the page did have it.
    if ((await request.response().catch(() => null)) !== null) return;
    tab.failures.push({ method: request.method(), url: request.url(), reason: request.failure()?.errorText ?? "" });
  });
  tab.page = await context.newPage();
  await followWorkerLogs(tab);
  tabs.set(++opened, tab);
  return opened;
}

const commands = {
  new_tab: newTab,
  go: ({ tab, url }) => tabs.get(tab).page.goto(url).then(() => null),
  evaluate: ({ tab, expression }) => tabs.get(tab).page.evaluate(expression),
  click: ({ tab, selector }) => tabs.get(tab).page.click(selector).then(() => null),
  press: ({ tab, key }) => tabs.get(tab).page.keyboard.press(key).then(() => null),
  look: async ({ tab, scheme, width, height }) => {
    await tabs.get(tab).page.emulateMedia({ colorScheme: scheme });
    await tabs.get(tab).page.setViewportSize({ width, height });
    return null;
  },
  // As an extension does: no page hears of it, and no preflight asks for it.
  headers: ({ tab, headers }) => tabs.get(tab).context.setExtraHTTPHeaders(headers).then(() => null),
  screenshot: ({ tab, path }) => tabs.get(tab).page.screenshot({ path, fullPage: true }).then(() => null),
  // The page goes as it goes when a visitor closes the tab; its context stays, because requests may outlive the page.
  close_page: ({ tab }) => tabs.get(tab).page.close().then(() => null),
  seen: ({ tab }) => {
    const { console, answers, failures } = tabs.get(tab);
    return { console, answers, failures };
  },
  cookies: ({ tab }) => tabs.get(tab).context.cookies(),
  forget_tab: async ({ tab }) => {
    await tabs.get(tab).context.close();
    tabs.delete(tab);
    return null;
  },
};

async function obey(line) {
  const command = JSON.parse(line);
  try {
    say({ id: command.id, value: (await commands[command.do](command)) ?? null });
  } catch (error) {
    say({ id: command.id, error: String(error) });
  }
}

say({ ready: browser.version() });
const lines = createInterface({ input: process.stdin });
lines.on("line", obey);
lines.on("close", async () => {
  await browser.close();
  process.exit(0);
});
browser.on("disconnected", () => process.exit(1));
